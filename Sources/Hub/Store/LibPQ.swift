import Glibc
import Model

/// PostgreSQL's client library, opened when a PostgreSQL address is given and not before: it brings OpenSSL, Kerberos
/// and LDAP along, which an agent needs nothing of. What each function does is in PostgreSQL's manual, chapter "libpq".
struct LibPQ: Sendable {
    typealias Connection = OpaquePointer
    typealias Result = OpaquePointer
    typealias Texts = UnsafePointer<UnsafePointer<CChar>?>
    typealias Lengths = UnsafePointer<Int32>

    let connect: @convention(c) (Texts, Texts, Int32) -> Connection?
    let status: @convention(c) (Connection) -> Int32
    let finish: @convention(c) (Connection) -> Void
    let errorMessage: @convention(c) (Connection) -> UnsafePointer<CChar>?
    let socket: @convention(c) (Connection) -> Int32
    let serverVersion: @convention(c) (Connection) -> Int32
    let setNonBlocking: @convention(c) (Connection, Int32) -> Int32
    let sendQuery: @convention(c) (Connection, UnsafePointer<CChar>) -> Int32
    let sendPrepare:
        @convention(c) (Connection, UnsafePointer<CChar>, UnsafePointer<CChar>, Int32, UnsafeRawPointer?)
            -> Int32
    let sendPrepared:
        @convention(c) (Connection, UnsafePointer<CChar>, Int32, Texts?, Lengths?, Lengths?, Int32) -> Int32
    let flush: @convention(c) (Connection) -> Int32
    let consumeInput: @convention(c) (Connection) -> Int32
    let isBusy: @convention(c) (Connection) -> Int32
    let getResult: @convention(c) (Connection) -> Result?
    let enterPipeline: @convention(c) (Connection) -> Int32
    let exitPipeline: @convention(c) (Connection) -> Int32
    let pipelineSync: @convention(c) (Connection) -> Int32
    let notifies: @convention(c) (Connection) -> UnsafeMutableRawPointer?
    let freeMemory: @convention(c) (UnsafeMutableRawPointer?) -> Void
    let clear: @convention(c) (Result) -> Void
    let resultStatus: @convention(c) (Result) -> Int32
    let errorField: @convention(c) (Result, Int32) -> UnsafePointer<CChar>?
    let rowCount: @convention(c) (Result) -> Int32
    let columnCount: @convention(c) (Result) -> Int32
    let columnType: @convention(c) (Result, Int32) -> UInt32
    let value: @convention(c) (Result, Int32, Int32) -> UnsafePointer<CChar>?
    let length: @convention(c) (Result, Int32, Int32) -> Int32
    let isNull: @convention(c) (Result, Int32, Int32) -> Int32
    let changedRows: @convention(c) (Result) -> UnsafePointer<CChar>?

    /// `PGnotify` as far as it is public.
    struct Notification {
        var channel: UnsafeMutablePointer<CChar>?
        var processId: Int32
        var payload: UnsafeMutablePointer<CChar>?
        var next: UnsafeMutableRawPointer?
    }

    enum Status {
        static let connectionOK: Int32 = 0
        static let commandOK: Int32 = 1
        static let rows: Int32 = 2
        static let pipelineSync: Int32 = 10
        static let pipelineAborted: Int32 = 11
    }

    /// Loaded once for the process, and never unloaded.
    static let loaded: Swift.Result<LibPQ, Problem> = {
        do throws(Problem) { return .success(try LibPQ()) } catch { return .failure(error) }
    }()

    private init() throws(Problem) {
        guard let library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL) else {
            throw Problem(
                .unavailable, "PostgreSQL's client library (libpq.so.5) is not installed.",
                hint: "Install it: apt-get install libpq5.", context: dlerror().map { String(cString: $0) })
        }
        func find<Function>(_ name: String, _ type: Function.Type = Function.self) throws(Problem) -> Function {
            guard let symbol = dlsym(library, name) else {
                throw Problem(
                    .unavailable, "PostgreSQL's client library is too old: it has no \(name).",
                    hint: "Install libpq 14 or newer.")
            }
            return unsafeBitCast(symbol, to: type)
        }
        connect = try find("PQconnectdbParams")
        status = try find("PQstatus")
        finish = try find("PQfinish")
        errorMessage = try find("PQerrorMessage")
        socket = try find("PQsocket")
        serverVersion = try find("PQserverVersion")
        setNonBlocking = try find("PQsetnonblocking")
        sendQuery = try find("PQsendQuery")
        sendPrepare = try find("PQsendPrepare")
        sendPrepared = try find("PQsendQueryPrepared")
        flush = try find("PQflush")
        consumeInput = try find("PQconsumeInput")
        isBusy = try find("PQisBusy")
        getResult = try find("PQgetResult")
        enterPipeline = try find("PQenterPipelineMode")
        exitPipeline = try find("PQexitPipelineMode")
        pipelineSync = try find("PQpipelineSync")
        notifies = try find("PQnotifies")
        freeMemory = try find("PQfreemem")
        clear = try find("PQclear")
        resultStatus = try find("PQresultStatus")
        errorField = try find("PQresultErrorField")
        rowCount = try find("PQntuples")
        columnCount = try find("PQnfields")
        columnType = try find("PQftype")
        value = try find("PQgetvalue")
        length = try find("PQgetlength")
        isNull = try find("PQgetisnull")
        changedRows = try find("PQcmdTuples")
    }
}
