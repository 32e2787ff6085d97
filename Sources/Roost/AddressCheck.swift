import Glibc
import Model

extension SocketAddressText {
    /// Tries whether this process could listen here, so that it ends with the reason before it begins anything.
    ///
    /// - Parameter option: The option by which another address is named.
    func checkFree(_ option: String) throws {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(port)", &hints, &found)
        guard code == 0, let address = found else {
            throw Problem(
                .invalid, "\(host) is not an address: \(String(cString: gai_strerror(code))).",
                hint: "Give \(option) as ADDRESS:PORT, such as 127.0.0.1:\(port).")
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.pointee.ai_family, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        // A machine without this family of addresses: the listener itself says so.
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) != 0 || listen(descriptor, 1) != 0
        else { return }
        switch errno {
        case EADDRINUSE:
            throw Problem(
                .conflict, "Another program listens on \(self).",
                hint: "Stop it (ss -ltnp shows it), or name another address with \(option).")
        case EACCES:
            throw Problem(
                .forbidden, "This account may not listen on \(self).",
                hint: "Run roost as root, or name a port above 1023 with \(option).")
        case EADDRNOTAVAIL:
            throw Problem(
                .invalid, "\(host) is not an address of this machine.",
                hint: "Name one of its own with \(option); 0.0.0.0 means all of them.")
        default:
            throw Problem(.invalid, "Nothing can listen on \(self): \(String(cString: strerror(errno))).")
        }
    }
}
