import Glibc
import Model
import NIOCore

/// Sockets of one address that several event loops accept from.
///
/// The first is bound without SO_REUSEPORT, so that an address which any other process listens on is refused; only
/// then is sharing switched on, for the sockets of our own that follow.
enum ListeningSocket {
    static let backlog: Int32 = 4096

    /// - Parameter isShared: whether sockets of our own that are open already may have the port too.
    /// - Throws: `conflict` when the address is in use, `invalid` when it is none or may not be bound.
    static func open(
        _ address: String, count: Int, loopbackOnly: Bool, isShared: Bool = false
    ) throws(Problem) -> [Int32] {
        let socketAddress = try parse(address)
        if loopbackOnly, !isLoopback(socketAddress) {
            throw Problem(.invalid, "The internal proxy may only listen on a loopback address, not on \(address).")
        }
        var descriptors: [Int32] = []
        for index in 0..<count {
            // Port 0 is resolved by the first socket; the others must take the same.
            let target = index == 0 ? socketAddress : try localAddress(of: descriptors[0], address)
            do {
                descriptors.append(try bound(target, sharing: isShared || index > 0, address))
            } catch {
                for descriptor in descriptors { close(descriptor) }
                throw error
            }
        }
        return descriptors
    }

    /// `host:port`, the host an address in numbers, IPv6 in brackets.
    static func parse(_ address: String) throws(Problem) -> SocketAddress {
        let flaw = Problem(.invalid, "\(address) is not an address of the form host:port.")
        guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw flaw }
        var host = String(address[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        if host == "localhost" { host = "127.0.0.1" }
        do { return try SocketAddress(ipAddress: host, port: port) } catch { throw flaw }
    }

    private static func isLoopback(_ address: SocketAddress) -> Bool {
        address.ipAddress?.hasPrefix("127.") == true || address.ipAddress == "::1"
    }

    static func localAddress(of descriptor: Int32, _ name: String) throws(Problem) -> SocketAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard status == 0, let address = SocketAddress(storage) else { throw failure(name, errno) }
        return address
    }

    /// A UDP socket. No address reuse: a second responder on the same port would silently take half of the queries.
    /// - Throws: `conflict` when the address is in use, `invalid` when it is none or may not be bound.
    static func openDatagram(_ address: String) throws(Problem) -> Int32 {
        let socketAddress = try parse(address)
        let family = socketAddress.protocol == .inet6 ? AF_INET6 : AF_INET
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw failure(address, errno) }
        guard socketAddress.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 else {
            let code = errno
            close(descriptor)
            throw failure(address, code)
        }
        return descriptor
    }

    private static func bound(_ address: SocketAddress, sharing: Bool, _ name: String) throws(Problem) -> Int32 {
        let family = address.protocol == .inet6 ? AF_INET6 : AF_INET
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw failure(name, errno) }
        SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if sharing { SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        // Inherited by accepted sockets: how much may wait unsent in the kernel, so that a slow reader is noticed.
        SocketOption.set(descriptor, Int32(IPPROTO_TCP), 25, 128 * 1024)
        let status = address.withSockAddr { pointer, size in bind(descriptor, pointer, socklen_t(size)) }
        guard status == 0, listen(descriptor, backlog) == 0 else {
            let code = errno
            close(descriptor)
            throw failure(name, code)
        }
        if !sharing { SocketOption.set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        return descriptor
    }

    private static func failure(_ address: String, _ code: Int32) -> Problem {
        let reason = String(cString: strerror(code))
        switch code {
        case EADDRINUSE:
            return Problem(
                .conflict, "The address \(address) is in use by another program.",
                hint: "Stop it, or give the edge another address.", context: reason)
        case EACCES:
            return Problem(
                .forbidden, "The address \(address) may not be bound by this user.",
                hint: "Ports below 1024 need root or CAP_NET_BIND_SERVICE.", context: reason)
        default: return Problem(.invalid, "The edge cannot listen on \(address): \(reason).", context: reason)
        }
    }
}
