import Glibc

/// How many files this process may have open.
public struct DescriptorLimit: Sendable {
    public let count: Int

    /// Raises the limit as far as this process may, and tells it.
    public static func raised() -> DescriptorLimit {
        var limit = rlimit()
        let resource = __rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue))
        guard getrlimit(resource, &limit) == 0 else { return DescriptorLimit(count: 1024) }
        let soft = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        let isRaised = setrlimit(resource, &limit) == 0
        return DescriptorLimit(count: Int(min(isRaised ? limit.rlim_max : soft, 1 << 24)))
    }

    /// Clients that a server lets in: some descriptors are left for upstreams, files and sockets of its own.
    public var connectionsMax: Int { max(count / 4, count - count / 16 - 64) }
}
