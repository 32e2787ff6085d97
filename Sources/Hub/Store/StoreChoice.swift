import Glibc
public import Host
public import Model
public import ResourceKit
public import Workflow

/// Which database the hub keeps everything in.
public enum StoreChoice: Sendable {
    /// One SQLite file in the hub's data folder.
    case sqlite(path: String)
    case postgres(PostgresAddress)

    /// As the command line or the environment says; SQLite when they say nothing.
    ///
    /// - Parameters:
    ///   - option: a `postgres://` URL without a password, or the path of a file that holds a URL. Everyone on the
    ///     machine can read a command line, so a password in it is refused.
    ///   - environment: value of `ROOST_STORE`: a URL or a path, too.
    /// - Throws: `invalid`.
    public init(option: String?, environment: String?, sqlitePath: String) throws(Problem) {
        guard let text = option ?? environment, !text.isEmpty else {
            self = .sqlite(path: sqlitePath)
            return
        }
        guard text.contains("://") else {
            self = .postgres(try PostgresAddress(try Self.content(of: text)))
            return
        }
        let address = try PostgresAddress(text)
        if option != nil, address.hasPassword {
            throw Problem(
                .invalid, "A password does not belong on the command line, where everyone can read it.",
                hint: "Write the address to a file of mode 0600 and name that file instead, or use ROOST_STORE.")
        }
        self = .postgres(address)
    }

    private static func content(of path: String) throws(Problem) -> String {
        guard let file = fopen(path, "re") else {
            throw Problem(
                .invalid,
                "The file \(path) with the address of the store cannot be read: \(String(cString: strerror(errno))).")
        }
        defer { fclose(file) }
        var status = stat()
        guard fstat(fileno(file), &status) == 0, status.st_mode & 0o077 == 0 else {
            throw Problem(
                .invalid, "Others can read the file \(path), which holds the store's password.",
                hint: "chmod 600 \(path)")
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = fread(&bytes, 1, bytes.count, file)
        let text = String(decoding: bytes.prefix(count), as: UTF8.self)
        return String(text.prefix { !$0.isNewline }.filter { !$0.isWhitespace })
    }

    /// Opens it, and makes what is missing in it.
    /// - Throws: `unavailable`, `storage_failed`.
    public func open(
        kinds: [ResourceKind], clock: any HostClock, random: any RandomSource
    ) throws -> any Store & WorkflowJournal {
        switch self {
        case .sqlite(let path): try SQLiteStore(path: path, kinds: kinds, clock: clock, random: random)
        case .postgres(let address): try PostgresStore(address: address, kinds: kinds, clock: clock, random: random)
        }
    }
}
