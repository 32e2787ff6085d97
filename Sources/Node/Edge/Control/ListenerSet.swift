import Glibc
import Model
import NIOCore

/// What a listening socket is for.
enum ListenerRole: String {
    case publicProxy = "public"
    case publicTLS = "tls"
    case internalProxy = "internal"
    case nameDatagrams = "dns-udp"
    case nameStreams = "dns-tcp"

    var isDatagram: Bool { self == .nameDatagrams }
    /// Only for programs on this machine.
    var isLoopbackOnly: Bool { self == .internalProxy }
    /// One socket for each event loop; the names have one loop.
    var isPerLoop: Bool { self == .publicProxy || self == .publicTLS || self == .internalProxy }
}

/// A socket that the edge has bound: taken over from the process before it, or opened.
struct BoundListener: Equatable, Sendable {
    var role: String
    /// As configured, `host:port`.
    var address: String
    var descriptor: Int32
}

/// All sockets of an edge process. It keeps them open until it is closed, so that they can be given to the next process;
/// what accepts from them gets duplicates.
struct ListenerSet {
    private(set) var sockets: [BoundListener] = []

    /// Opens what is wanted; uses those of `inherited` that have the same role and address, and closes the others.
    ///
    /// - Throws: `conflict` when an address is in use, `invalid` or `forbidden` when one may not be bound. Nothing is
    ///   left open then, not the inherited ones either.
    init(
        wanted: [(role: ListenerRole, address: String)], inherited: [BoundListener], loopCount: Int
    ) throws(Problem) {
        var former = inherited
        do {
            for (role, address) in wanted {
                let isSame = { (one: BoundListener) in one.role == role.rawValue && one.address == address }
                sockets += former.filter(isSame)
                former.removeAll(where: isSame)
            }
            // The most exact address first: one that stands for all of them would keep the others from being bound.
            for (role, address) in wanted.sorted(by: { !Self.isAny($0.address) && Self.isAny($1.address) }) {
                let count = role.isPerLoop ? loopCount : 1
                let missing = max(0, count - sockets.count { $0.role == role.rawValue })
                try open(role, address, missing, beside: former)
            }
        } catch {
            for socket in former + sockets { Glibc.close(socket.descriptor) }
            throw error
        }
        for socket in former { Glibc.close(socket.descriptor) }
    }

    private mutating func open(
        _ role: ListenerRole, _ address: String, _ count: Int, beside former: [BoundListener]
    ) throws(Problem) {
        guard count > 0 else { return }
        let port = try ListeningSocket.parse(address).port
        func hasPort(_ other: BoundListener) -> Bool {
            // What was bound was parsed before.
            (try? ListeningSocket.parse(other.address).port) == port
        }
        if role.isDatagram {
            let descriptor = try ListeningSocket.openDatagram(address)
            sockets.append(BoundListener(role: role.rawValue, address: address, descriptor: descriptor))
            return
        }
        let isShared = (sockets + former).contains { $0.role != ListenerRole.nameDatagrams.rawValue && hasPort($0) }
        // A first look without sharing, so that another program on the port is not overheard.
        let descriptors = try ListeningSocket.open(
            address, count: count, loopbackOnly: role.isLoopbackOnly, isShared: isShared)
        sockets += descriptors.map { BoundListener(role: role.rawValue, address: address, descriptor: $0) }
    }

    private static func isAny(_ address: String) -> Bool { address.hasPrefix("0.0.0.0:") || address.hasPrefix("[::]:") }

    /// Duplicates of the sockets of a role, for the event loops to own.
    /// - Throws: `unavailable` when there are no descriptors left.
    func duplicates(_ role: ListenerRole) throws(Problem) -> [Int32] {
        try Self.duplicates(sockets.filter { $0.role == role.rawValue }).map(\.descriptor)
    }

    /// Duplicates of all.
    /// - Throws: `unavailable` when there are no descriptors left, or no sockets any more.
    func duplicates() throws(Problem) -> [BoundListener] {
        guard !sockets.isEmpty else { throw Problem(.unavailable, "This edge process is ending.") }
        return try Self.duplicates(sockets)
    }

    private static func duplicates(_ sockets: [BoundListener]) throws(Problem) -> [BoundListener] {
        var copies: [BoundListener] = []
        for socket in sockets {
            var copy = socket
            copy.descriptor = fcntl(socket.descriptor, F_DUPFD_CLOEXEC, 0)
            guard copy.descriptor >= 0 else {
                let reason = String(cString: strerror(errno))
                for one in copies { Glibc.close(one.descriptor) }
                throw Problem(.unavailable, "The edge has no file descriptors left to listen with.", context: reason)
            }
            copies.append(copy)
        }
        return copies
    }

    /// Gives the sockets up. The kernel keeps those that another process has too.
    mutating func close() {
        for socket in sockets { Glibc.close(socket.descriptor) }
        sockets = []
    }
}

extension EdgeListeners {
    var wanted: [(role: ListenerRole, address: String)] {
        var wanted: [(role: ListenerRole, address: String)] = [(.publicProxy, publicAddress)]
        if let tlsAddress { wanted.append((.publicTLS, tlsAddress)) }
        if let internalAddress { wanted.append((.internalProxy, internalAddress)) }
        if let dnsAddress { wanted += [(.nameDatagrams, dnsAddress), (.nameStreams, dnsAddress)] }
        return wanted
    }
}
