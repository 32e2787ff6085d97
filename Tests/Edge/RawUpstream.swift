import Glibc
import Host
import Synchronization
import Testing

/// An upstream on bare sockets that writes down byte for byte what it gets. One thread for each connection.
final class RawUpstream: Sendable {
    /// What a connection does; returns when it is done with it.
    typealias Script = @Sendable (_ connection: RawSocket, _ upstream: RawUpstream) throws -> Void

    struct Request: Sendable, Equatable {
        var head: String
        var body: [UInt8]
        /// Number of the connection that it came over.
        var connection: Int

        var line: String { String(head.split(separator: "\r\n").first ?? "") }
        func fields(_ name: String) -> [String] { RawResponse(head: head, body: []).fields(name) }
    }

    private struct State {
        var requests: [Request] = []
        var connections = 0
        var leftovers: [[UInt8]] = []
    }

    let port: Int
    private let listener: Int32
    private let script: Script
    private let state = Mutex(State())

    init(port: Int = 0, script: @escaping Script = RawUpstream.echo) throws {
        self.script = script
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var address = RawSocket.address(port)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) | listen(descriptor, 512) | getsockname(descriptor, $0, &length)
            }
        }
        guard status == 0 else { throw SocketFailure("bind") }
        self.port = RawSocket.port(of: address)
        try NativeThread.detached("upstream") { [weak self] in
            while true {
                let accepted = accept(descriptor, nil, nil)
                guard accepted >= 0, let self else {
                    // Closed here and nowhere else: its number must not be reused while it may still be accepted on.
                    if accepted >= 0 { close(accepted) }
                    close(descriptor)
                    return
                }
                self.state.withLock { $0.connections += 1 }
                let connection = RawSocket(taking: accepted)
                do {
                    try NativeThread.detached("upstream") { self.serve(connection) }
                } catch {
                    Issue.record(error)
                }
            }
        }
    }

    private func serve(_ connection: RawSocket) {
        do {
            try script(connection, self)
        } catch is SocketFailure {
            // A peer that goes away is what many of these tests are about.
        } catch {
            Issue.record(error)
        }
    }

    deinit { stop() }

    /// Refuses connections from now on.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
    }

    var requests: [Request] { state.withLock { $0.requests } }
    var connections: Int { state.withLock { $0.connections } }
    /// Bytes that were no complete request when their connection ended.
    var leftovers: [[UInt8]] { state.withLock { $0.leftovers } }

    /// Keeps what came beside any request.
    func note(_ bytes: [UInt8]) { state.withLock { $0.leftovers.append(bytes) } }
    func forget() { state.withLock { $0 = State(connections: $0.connections) } }

    /// Answers each request with 200 and what it saw, for as long as the connection lasts.
    static let echo: Script = { connection, upstream in
        while let request = try upstream.read(connection) {
            let text = "\(request.line)|\(request.body.count)"
            let isHead = request.line.hasPrefix("HEAD ")
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(isHead ? "" : text)")
        }
    }

    /// Always the same bytes, then goes on.
    static func answering(_ text: String, thenClose: Bool = false) -> Script {
        { connection, upstream in
            while try upstream.read(connection) != nil {
                try connection.send(text)
                if thenClose { return }
            }
        }
    }

    /// Reads one request in the plainest way; nil at the end of the connection.
    func read(_ connection: RawSocket) throws -> Request? {
        let number = connections
        connection.setTimeout(seconds: 60)
        let head = try connection.receive(until: "\r\n\r\n")
        guard head.hasSuffix("\r\n\r\n") else {
            if !head.isEmpty { state.withLock { $0.leftovers.append(Array(head.utf8)) } }
            return nil
        }
        var request = Request(head: head, body: [], connection: number)
        if let length = request.fields("content-length").first.flatMap({ Int($0) }) {
            while request.body.count < length {
                let more = try connection.receive(max: min(65_536, length - request.body.count))
                if more.isEmpty { return nil }
                request.body += more
            }
        } else if request.fields("transfer-encoding").first?.lowercased() == "chunked" {
            guard let raw = try readChunks(connection) else { return nil }
            request.body = raw
        }
        state.withLock { $0.requests.append(request) }
        return request
    }

    /// A chunked body with all its framing; nil when it ended early.
    private func readChunks(_ connection: RawSocket) throws -> [UInt8]? {
        var raw: [UInt8] = []
        while true {
            let line = try connection.receive(until: "\r\n")
            raw += Array(line.utf8)
            guard let size = Int(line.prefix { $0.isHexDigit }, radix: 16) else { break }
            if size == 0 {
                var trailer = ""
                repeat {
                    let next = try connection.receive(until: "\r\n")
                    trailer += next
                    guard next.hasSuffix("\r\n") else {
                        state.withLock { $0.leftovers.append(raw) }
                        return nil
                    }
                } while !trailer.hasSuffix("\r\n\r\n") && trailer != "\r\n"
                return raw + Array(trailer.utf8)
            }
            var left = size + 2
            while left > 0 {
                let more = try connection.receive(max: min(left, 65_536))
                if more.isEmpty { break }
                raw += more
                left -= more.count
            }
            if left > 0 { break }
        }
        state.withLock { $0.leftovers.append(raw) }
        return nil
    }
}

/// A port that is taken and refuses every connection.
final class ClosedPort: Sendable {
    let port: Int
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = RawSocket.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = descriptor
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(bound, $0, length) | getsockname(bound, $0, &length)
            }
        }
        guard status == 0 else {
            close(bound)
            throw SocketFailure("bind")
        }
        port = RawSocket.port(of: address)
    }

    deinit { close(descriptor) }
}
