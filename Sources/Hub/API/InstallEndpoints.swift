import AgentProtocol
import Glibc
import HTTPTypes
import HubCore
import Hummingbird
import Model
import NIOCore
import NIOPosix
import ResourceKit

/// How servers get the program: a script, and the hub's own executable.
extension HubAPI {
    func installEndpoints() -> [Endpoint] {
        [
            hidden("/install.sh", "The script that joins a server.") { try installScript($0) },
            hidden("/install/roost", "The program.") { _ in try await program() },
        ]
    }

    private func hidden(
        _ path: String, _ summary: String, _ handle: @escaping @Sendable (APIRequest) async throws -> Response
    ) -> Endpoint {
        var operation = Operation(id: path, tag: "install", summary: summary)
        operation.isHidden = true
        return Endpoint(method: .get, path: path, access: .anyone, operation: operation, handle: handle)
    }

    /// A new install token's answer with the line to run on a server, where the hub was told how servers reach it: who
    /// asks may have come by an address that means another machine there, such as 127.0.0.1.
    func withInstallCommand(_ answer: MutationAnswer, _ kind: ResourceKind) -> MutationAnswer {
        guard kind.name == "install-token", let url = options.publicURL, let token = answer.body["token"]?.stringValue
        else { return answer }
        var answer = answer
        answer.body["install_command"] = .string(InstallLine.text(hubURL: url, token: token))
        return answer
    }

    private func installScript(_ request: APIRequest) throws -> Response {
        let url = try publicURL(of: request.request)
        return Answers.text(
            InstallScript.text(hubURL: url, hubKey: options.hubPublicKey), type: "text/x-shellscript; charset=utf-8",
            headers: [.cacheControl: "no-store"])
    }

    private func publicURL(of request: Request) throws -> String {
        if let url = options.publicURL { return url }
        guard let host = request.head.authority, !host.isEmpty, host.utf8.count <= 300,
            host.utf8.allSatisfy({ Self.isPlain($0) || Array(".:[]".utf8).contains($0) })
        else { throw Problem(.invalid, "The Host header is missing or is not a host name.") }
        let isSecure = options.isTLS || request.headers[.init("X-Forwarded-Proto")!] == "https"
        return "\(isSecure ? "https" : "http")://\(host)"
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...122).contains(byte | 0x20) && byte != 0x5E && byte != 0x40 || byte == 0x2D
            || byte == 0x5F
    }

    private func program() async throws -> Response {
        let path = options.executablePath
        let file = try await NIOThreadPool.singleton.runIfActive { try ProgramFile(path) }
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream"],
            body: ResponseBody(contentLength: file.size) { writer in
                while true {
                    let bytes = try await NIOThreadPool.singleton.runIfActive { try file.next() }
                    guard !bytes.isEmpty else { break }
                    try await writer.write(ByteBuffer(bytes: bytes))
                }
                try await writer.finish(nil)
            })
    }
}

/// An open file that is read from its start to its end.
private final class ProgramFile: Sendable {
    private static let pieceBytes = 262_144
    private let descriptor: Int32
    let size: Int

    init(_ path: String) throws {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
            throw Problem(.internalError, "The hub cannot read its own program.", context: path)
        }
        size = Int(status.st_size)
    }

    func next() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.pieceBytes)
        let count = read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw Problem(.internalError, "The hub cannot read its own program.") }
        return Array(bytes.prefix(count))
    }

    deinit { close(descriptor) }
}
