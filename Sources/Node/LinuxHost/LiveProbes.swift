import CRoost
import Glibc
public import Host
import Model
import Supervisor

/// Questions to a local port by plain sockets. `host` is an IP address or `localhost`.
public struct LiveProbes: Probes {
    private static let threads = BlockingThreads(threadsMax: 32)

    public init() {}

    public func http(host: String, port: Int, path: String, timeout: Duration) async throws -> Int {
        let isPlain = path.hasPrefix("/") && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        guard isPlain else { throw Problem.invalid("path", "must begin with / and be plain ASCII") }
        return try await Self.threads.run {
            let socket = try ProbeSocket(host: host, port: port, timeout: timeout)
            defer { socket.shut() }
            let name = host.contains(":") ? "[\(host)]" : host
            try socket.send(
                "GET \(path) HTTP/1.1\r\nHost: \(name):\(port)\r\nUser-Agent: roost-health\r\nAccept: */*\r\n"
                    + "Connection: close\r\n\r\n")
            return try socket.readStatus()
        }
    }

    public func tcp(host: String, port: Int, timeout: Duration) async throws {
        try await Self.threads.run { try ProbeSocket(host: host, port: port, timeout: timeout).shut() }
    }

    public func steadyTCP(host: String, port: Int, timeout: Duration) async throws {
        try await Self.threads.run {
            let socket = try ProbeSocket(host: host, port: port, timeout: timeout)
            defer { socket.shut() }
            try socket.awaitEnd(atMost: 300)
        }
    }

    public func freePort(excluding taken: Set<Int>) async throws -> Int {
        try await Self.threads.run {
            let random = LiveRandom().bytes(2)
            let first = Int(random[0]) << 8 | Int(random[1])
            for step in 0..<12_000 {
                // Below the kernel's own range for outgoing connections (from 32768), so that none takes it meanwhile.
                let port = 20_000 + (first + step) % 12_000
                if !taken.contains(port), Self.isFree(port) { return port }
            }
            throw Problem(.unavailable, "There is no free TCP port between 20000 and 32000.")
        }
    }

    /// Whether nobody listens there, on loopback or on all addresses.
    private static func isFree(_ port: Int) -> Bool {
        [INADDR_LOOPBACK, INADDR_ANY].allSatisfy { address in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = in_port_t(port).bigEndian
            name.sin_addr.s_addr = in_addr_t(address).bigEndian
            // As a server would bind it: connections in TIME_WAIT are no obstacle.
            var on: Int32 = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
            return withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
    }
}

/// A connection with one deadline for all that happens on it.
private struct ProbeSocket {
    private let descriptor: Int32
    private let deadlineMs: Int64
    private let name: String

    init(host: String, port: Int, timeout: Duration) throws {
        name = "\(host):\(port)"
        deadlineMs = CommandClock.nowMs() + max(1, timeout.wholeMilliseconds)
        guard (1...65_535).contains(port) else { throw Problem.invalid("port", "must be 1 to 65535") }
        let isIPv6 = host.contains(":")
        descriptor = socket(
            isIPv6 ? AF_INET6 : AF_INET,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw systemProblem("socket", name) }
        do {
            try connectTo(host == "localhost" ? "127.0.0.1" : host, port, isIPv6)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private func connectTo(_ host: String, _ port: Int, _ isIPv6: Bool) throws {
        let code: Int32
        if isIPv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = in_port_t(port).bigEndian
            guard inet_pton(AF_INET6, host, &address.sin6_addr) == 1 else { throw badHost() }
            code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0 ? 0 : errno
                }
            }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { throw badHost() }
            code = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 ? 0 : errno
                }
            }
        }
        guard code == 0 || code == EINPROGRESS else { throw refused(code) }
        try awaitEvent(POLLOUT, "did not accept a connection")
        var failure: Int32 = 0
        var size = socklen_t(4)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size)
        guard failure == 0 else { throw refused(failure) }
    }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + offset, bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EAGAIN {
                try awaitEvent(POLLOUT, "did not take the request")
            } else if count <= 0 {
                throw refused(errno)
            } else {
                offset += count
            }
        }
    }

    /// Status code of the final response head (RFC 9112 section 4); interim ones (1xx) are passed over.
    func readStatus() throws -> Int {
        var head: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while head.count < 65_536 {
            if let status = try Self.finalStatus(in: head, name: name) { return status }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count < 0, errno == EAGAIN || errno == EINTR {
                try awaitEvent(POLLIN, "did not answer")
            } else if count < 0 {
                throw refused(errno)
            } else if count == 0 {
                throw Problem(.unavailable, "\(name) closed the connection without an answer.")
            } else {
                head += chunk[0..<count]
            }
        }
        throw Problem(.unavailable, "\(name) answered with an endless head.")
    }

    private static func finalStatus(in bytes: [UInt8], name: String) throws -> Int? {
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: bytes[start..<end], as: UTF8.self)
            let parts = line.split(separator: " ", maxSplits: 2)
            guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1].prefix(3)),
                (100...599).contains(status)
            else { throw Problem(.unavailable, "\(name) does not speak HTTP.") }
            if status >= 200 || status == 101 { return status }
            guard let after = endOfHead(bytes, from: end) else { return nil }
            start = after
        }
        return nil
    }

    private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
        var index = start
        while index + 2 < bytes.count {
            if bytes[index] == 10, bytes[index + 1] == 10 { return index + 2 }
            if bytes[index] == 10, bytes[index + 1] == 13, bytes[index + 2] == 10 { return index + 3 }
            index += 1
        }
        return nil
    }

    func shut() { close(descriptor) }

    /// - Throws: `unavailable` when the other side ends the connection, unasked and without a word, within this time.
    func awaitEnd(atMost milliseconds: Int32) throws {
        var events = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&events, 1, milliseconds) > 0 else { return }
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, 0)
        if count == 0 { throw Problem(.unavailable, "\(name) closes connections at once.") }
        if count < 0, errno != EAGAIN, errno != EINTR { throw refused(errno) }
    }

    private func awaitEvent(_ event: Int32, _ what: String) throws {
        while true {
            let left = deadlineMs - CommandClock.nowMs()
            guard left > 0 else { throw Problem(.timeout, "\(name) \(what) in time.") }
            var events = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            if poll(&events, 1, Int32(min(left, 60_000))) > 0 { return }
        }
    }

    private func badHost() -> Problem { .invalid("host", "must be an IP address or localhost") }

    private func refused(_ code: Int32) -> Problem {
        Problem(.unavailable, "\(name) cannot be reached: \(String(cString: strerror(code))).")
    }
}
