import Dispatch
import Glibc
import Testing

/// A socket to a port of this machine, for bytes that no client would send. Waits where it is called.
final class RawConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []

    init(_ port: Int, patience: Duration = .seconds(20)) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0)
        var wait = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
        // Pieces are meant to arrive as pieces.
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close(descriptor) }

    /// Runs what waits on a thread of its own: a server in this process needs the ones that tasks run on.
    static func apart<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
        }
    }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// All that comes until the other side closes, or nothing more comes.
    func rest() -> String {
        while received.count < 1 << 20, receive() {}
        return take(received.count)
    }

    /// One answer with its body, as long as its `Content-Length` says.
    func answer() -> String {
        let empty = Array("\r\n\r\n".utf8)
        while received.firstRange(of: empty) == nil, receive() {}
        guard let end = received.firstRange(of: empty)?.upperBound else { return rest() }
        let head = String(decoding: received[..<end], as: UTF8.self).lowercased()
        let length = head.split(separator: "content-length: ").dropFirst().first.flatMap {
            Int($0.prefix { $0.isNumber })
        }
        while received.count < end + (length ?? 0), receive() {}
        return take(end + (length ?? 0))
    }

    private func take(_ count: Int) -> String {
        defer { received.removeFirst(min(count, received.count)) }
        return String(decoding: received.prefix(count), as: UTF8.self)
    }

    private func receive() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        received += buffer.prefix(count)
        return true
    }
}
