import CertificateEncoding
import Crypto
import Edge
import Glibc
import Model

/// A certificate of its own, on disk as the edge wants it.
struct TestCertificate {
    let entry: EdgeCertificate

    /// - Parameter file: names its files in `folder`.
    init(_ names: [String], folder: String, file: String, days: Int64 = 30) throws {
        let key = P256.Signing.PrivateKey()
        let now = Timestamp(millisecondsSinceEpoch: Int64(time(nil)) * 1000)
        let der = try SelfSignedCertificate.der(
            names: names, addresses: [], key: key, from: now.advanced(by: .seconds(-60)),
            to: now.advanced(by: .seconds(days * 86_400)))
        entry = EdgeCertificate(
            names: names, certificatePath: "\(folder)/\(file).crt", keyPath: "\(folder)/\(file).key")
        try writeFile(entry.certificatePath, PEM.encode("CERTIFICATE", der))
        try writeFile(entry.keyPath, key.pemRepresentation)
        chmod(entry.keyPath, 0o600)
    }

    /// - Returns: the path of a request for a certificate.
    static func request(_ names: [String], folder: String) throws -> String {
        let der = try CertificateRequest.der(names: names, key: P256.Signing.PrivateKey())
        try writeFile(folder + "/request.pem", PEM.encode("CERTIFICATE REQUEST", der))
        return folder + "/request.pem"
    }
}

extension EdgeFixture {
    /// What curl prints for a page, and its exit status, when it trusts `certificate` alone.
    func curl(_ host: String, _ path: String = "/", trusting certificate: String, _ more: String...) async throws
        -> (text: String, status: Int32)
    {
        let arguments =
            [
                "--silent", "--show-error", "--max-time", "20", "--cacert", certificate, "--resolve",
                "\(host):\(tlsPort):127.0.0.1",
            ] + more + ["https://\(host):\(tlsPort)\(path)"]
        return try await blocking { try runForStatus("/usr/bin/curl", arguments) }
    }

    /// Runs a Python script with the TLS port as its argument.
    func python(_ script: String, _ more: String...) async throws -> (text: String, status: Int32) {
        let arguments = ["python3", "-c", script, String(tlsPort)] + more
        return try await blocking { try runForStatus("/usr/bin/env", arguments) }
    }
}

/// Runs a program to its end: what it wrote, both streams, and its exit status.
func runForStatus(_ path: String, _ arguments: [String]) throws -> (text: String, status: Int32) {
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else { throw SocketFailure("pipe") }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 2)
    posix_spawn_file_actions_addclose(&actions, pipes[0])
    posix_spawn_file_actions_addclose(&actions, pipes[1])
    defer { posix_spawn_file_actions_destroy(&actions) }
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for pointer in argv { free(pointer) } }
    var process = pid_t()
    let status = posix_spawn(&process, path, &actions, nil, &argv, environ)
    close(pipes[1])
    guard status == 0 else { throw SocketFailure("spawn \(path)") }
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(pipes[0], &chunk, chunk.count)
        guard count > 0 else { break }
        text += chunk[..<count]
    }
    close(pipes[0])
    var exit: Int32 = 0
    waitpid(process, &exit, 0)
    return (String(decoding: text, as: UTF8.self), exit & 0x7F == 0 ? exit >> 8 & 0xFF : 128 + (exit & 0x7F))
}
