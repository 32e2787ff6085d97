import Glibc
import Host
import NIOConcurrencyHelpers
import NIOCore
import Synchronization

/// Finds the addresses of endpoints that are given by name, on threads that end when there is nothing more to ask: the
/// system's resolver may take as long as it likes, and nobody waits for it.
final class NameLookup: Sendable {
    typealias Resolve = @Sendable (_ host: String, _ port: Int) -> [SocketAddress]

    static let threadsMax = 8
    /// How long a new table waits for names that have no address yet.
    static let waitSeconds = 2.0

    private struct State {
        var waiting: [EndpointState] = []
        /// What is to be done when the name was looked up; a name that is here is not asked for a second time.
        var asked: [ObjectIdentifier: [@Sendable () -> Void]] = [:]
        var threadCount = 0
    }

    private let resolve: Resolve
    private let state = Mutex(State())

    init(resolve: @escaping Resolve = NameLookup.system) { self.resolve = resolve }

    /// Asks for all that are names. Blocks until those without an address were looked up, but no longer than
    /// ``waitSeconds``: never called on an event loop.
    func update(_ endpoints: [EndpointState]) {
        let unknown = endpoints.filter { $0.isName && !$0.isResolved }
        let left = NIOLockedValueBox(unknown.count)
        let areKnown = ConditionLock(value: unknown.isEmpty)
        for endpoint in unknown {
            ask(endpoint) {
                let isLast = left.withLockedValue { left in
                    left -= 1
                    return left == 0
                }
                guard isLast else { return }
                areKnown.lock()
                areKnown.unlock(withValue: true)
            }
        }
        refresh(endpoints)
        if areKnown.lock(whenValue: true, timeoutSeconds: Self.waitSeconds) { areKnown.unlock() }
    }

    /// Asks for all that are names, and does not wait.
    func refresh(_ endpoints: [EndpointState]) {
        for endpoint in endpoints where endpoint.isName { ask(endpoint) {} }
    }

    private func ask(_ endpoint: EndpointState, then done: @escaping @Sendable () -> Void) {
        let startsThread = state.withLock { state in
            state.asked[ObjectIdentifier(endpoint), default: []].append(done)
            guard state.asked[ObjectIdentifier(endpoint)]?.count == 1 else { return false }
            state.waiting.append(endpoint)
            guard state.threadCount < Self.threadsMax else { return false }
            state.threadCount += 1
            return true
        }
        if startsThread { startThread() }
    }

    private func startThread() {
        do {
            try NativeThread.detached("name-lookup") { self.run() }
        } catch {
            // What waits is taken by another thread, or asked for again with the next table.
            state.withLock { $0.threadCount -= 1 }
        }
    }

    private func run() {
        while let endpoint = next() {
            endpoint.resolved(to: resolve(endpoint.host, endpoint.port))
            for done in state.withLock({ $0.asked.removeValue(forKey: ObjectIdentifier(endpoint)) }) ?? [] { done() }
        }
    }

    private func next() -> EndpointState? {
        state.withLock { state in
            if state.waiting.isEmpty {
                state.threadCount -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    /// All addresses, IPv4 and IPv6, in the order in which the system prefers them (RFC 6724); none without an answer.
    static let system: Resolve = { host, port in
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let info = next?.pointee {
            next = info.ai_next
            guard let raw = UnsafeRawPointer(info.ai_addr) else { continue }
            let address: SocketAddress
            switch info.ai_family {
            case AF_INET: address = SocketAddress(raw.loadUnaligned(as: sockaddr_in.self))
            case AF_INET6: address = SocketAddress(raw.loadUnaligned(as: sockaddr_in6.self))
            default: continue
            }
            if !addresses.contains(address) { addresses.append(address) }
        }
        return addresses
    }
}
