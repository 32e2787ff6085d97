import Glibc
import Synchronization

/// Ports for servers that are started in a moment.
public enum FreePorts {
    /// Outside of what Linux gives to outgoing connections, so that none of them takes a port before its server does.
    private static let range = 61_000..<65_500
    private static let turn = Atomic(Int.random(in: 0..<range.count))

    /// Ports that nobody listens on, and that were not given before.
    /// - Throws: when there are none.
    public static func take(_ count: Int) throws -> [Int] {
        try (0..<count).map { _ in
            for _ in range {
                let number = turn.wrappingAdd(1, ordering: .relaxed).oldValue
                let port = range.lowerBound + number % range.count
                if isFree(port) { return port }
            }
            throw ChildProgram.Failure(what: "no free port")
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }
}
