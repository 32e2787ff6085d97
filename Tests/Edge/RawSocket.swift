import Glibc
import Host

/// Runs blocking code on a thread of its own: the cooperative ones are needed by the edge under test, and of a pool one
/// test that takes long would keep all others waiting.
func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await NativeThread.run("test", body)
}

struct SocketFailure: Error, CustomStringConvertible {
    var description: String
    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

/// A blocking TCP socket with time limits: the plainest peer there is.
final class RawSocket: Sendable {
    let descriptor: Int32

    init(taking descriptor: Int32) { self.descriptor = descriptor }

    init(port: Int, host: String = "127.0.0.1", timeoutSeconds: Int = 10) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketFailure("socket") }
        setTimeout(seconds: timeoutSeconds)
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        var address = Self.address(port)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // The deinitialiser closes it in this case as well: by here the object is complete.
        guard status == 0 else { throw SocketFailure("connect to \(port)") }
    }

    deinit { close(descriptor) }

    func setTimeout(seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    static func address(_ port: Int) -> sockaddr_in {
        // From its bytes: which C module owns the members of this type depends on what else is imported.
        let loopback = (
            sa_family_t(AF_INET), in_port_t(port).bigEndian, UInt32(0x7F00_0001).bigEndian, UInt64(0)
        )
        return unsafeBitCast(loopback, to: sockaddr_in.self)
    }

    static func port(of address: sockaddr_in) -> Int {
        withUnsafeBytes(of: address) { Int(in_port_t(bigEndian: $0.load(fromByteOffset: 2, as: in_port_t.self))) }
    }

    func send(_ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + offset, $0.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw SocketFailure("send") }
            offset += count
        }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func closeOutput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Sends the text and the end of the connection in one packet.
    /// - Returns: false when this thread was kept from it for so long that the kernel may have sent them in two.
    func sendWithEnd(_ text: String) throws -> Bool {
        var isHeld: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_CORK, &isHeld, 4)
        let start = ContinuousClock.now
        try send(text)
        closeOutput()
        // The kernel holds for 200 ms.
        return ContinuousClock.now - start < .milliseconds(150)
    }

    /// Next bytes; empty at the end of the stream, and after a reset.
    func receive(max: Int = 65_536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max)
        let count = recv(descriptor, &bytes, max, 0)
        if count < 0, errno == ECONNRESET { return [] }
        guard count >= 0 else { throw SocketFailure("recv") }
        return Array(bytes[..<count])
    }

    /// Everything up to the end of the stream.
    func receiveAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let chunk = try receive()
            if chunk.isEmpty { return all }
            all += chunk
        }
    }

    /// Up to and with `text`.
    func receive(until text: String) throws -> String {
        var all: [UInt8] = []
        let end = Array(text.utf8)
        while !all.suffix(end.count).elementsEqual(end) {
            let byte = try receive(max: 1)
            if byte.isEmpty { break }
            all += byte
        }
        return String(decoding: all, as: UTF8.self)
    }

    /// One response with `Content-Length`, chunks, or neither; nil at the end of the stream.
    func response(toHead: Bool = false) throws -> RawResponse? {
        let head = try receive(until: "\r\n\r\n")
        if head.isEmpty { return nil }
        var response = RawResponse(head: head, body: [])
        if toHead || response.status == 204 || response.status == 304 || response.status < 200 { return response }
        if let length = response.field("content-length").flatMap({ Int($0) }) {
            while response.body.count < length {
                let chunk = try receive(max: min(1 << 18, length - response.body.count))
                if chunk.isEmpty { throw SocketFailure("the body ended early") }
                response.body += chunk
            }
        } else if response.field("transfer-encoding") == "chunked" {
            try readChunks(&response)
        } else {
            response.body = try receiveAll()
        }
        return response
    }

    private func readChunks(_ response: inout RawResponse) throws {
        while true {
            let line = try receive(until: "\r\n")
            guard let size = Int(line.dropLast(1).prefix { $0.isHexDigit }, radix: 16) else {
                throw SocketFailure("a chunk size was \(line.debugDescription)")
            }
            if size == 0 {
                var trailer = ""
                repeat {
                    trailer += try receive(until: "\r\n")
                } while !trailer.hasSuffix("\r\n\r\n") && trailer != "\r\n"
                response.trailer = trailer
                return
            }
            var chunk: [UInt8] = []
            while chunk.count < size + 2 {
                let more = try receive(max: size + 2 - chunk.count)
                if more.isEmpty { throw SocketFailure("a chunk ended early") }
                chunk += more
            }
            response.body += chunk.dropLast(2)
        }
    }
}

/// A response as a test sees it.
struct RawResponse: Sendable {
    var head: String
    var body: [UInt8]
    var trailer = ""

    var status: Int { Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0 }
    var text: String { String(decoding: body, as: UTF8.self) }

    func field(_ name: String) -> String? { fields(name).first }

    func fields(_ name: String) -> [String] {
        head.split(separator: "\r\n").dropFirst().compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name else { return nil }
            return String(parts[1].drop { $0 == " " })
        }
    }
}
