import Glibc
import NIOCore

extension SocketAddress {
    /// What the system says of a socket of the internet; nil for another kind.
    init?(_ storage: sockaddr_storage) {
        let address: SocketAddress? = withUnsafePointer(to: storage) { pointer in
            switch Int32(storage.ss_family) {
            case AF_INET:
                pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { SocketAddress($0.pointee, host: "") }
            case AF_INET6:
                pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { SocketAddress($0.pointee, host: "") }
            default: nil
            }
        }
        guard let address else { return nil }
        self = address
    }
}
