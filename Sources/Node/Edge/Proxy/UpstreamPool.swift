import Synchronization

/// Idle connections of one event loop to one endpoint, the last used on top.
final class UpstreamPool {
    static let idleMax = 1024

    let endpoint: EndpointState
    private var idle: [UpstreamConnection] = []
    /// Of an upstream that speaks HTTP/2.
    let sessions = UpstreamSessions()
    /// The endpoint left the table: what comes back is closed.
    private(set) var isRetired = false
    /// After a failed connect the endpoint is tried last until then.
    var avoidedUntil: UInt64 = 0

    init(endpoint: EndpointState) { self.endpoint = endpoint }

    /// - Parameter isRepeatable: the request may be sent again should the connection prove dead. One that may not is
    ///   only trusted to a connection that answered more than once and was used within the last second.
    func take(now: UInt64, isRepeatable: Bool) -> UpstreamConnection? {
        while let connection = idle.last {
            if now >= connection.idleUntil || isOutdated(connection) {
                connection.poolIndex = -1
                idle.removeLast()
                connection.close()
                continue
            }
            if !isRepeatable, connection.served < 2 || now &- connection.idleSince > 1_000_000_000 { return nil }
            connection.poolIndex = -1
            idle.removeLast()
            return connection
        }
        return nil
    }

    func put(_ connection: UpstreamConnection) {
        guard !isRetired, idle.count < Self.idleMax, !isOutdated(connection) else {
            connection.close()
            return
        }
        connection.poolIndex = idle.count
        idle.append(connection)
    }

    /// The endpoint's name has lost an address since, which may be the one that it is connected to.
    private func isOutdated(_ connection: UpstreamConnection) -> Bool {
        connection.generation != endpoint.generation.load(ordering: .relaxed)
    }

    /// An idle connection was closed by its upstream.
    func remove(_ connection: UpstreamConnection) {
        let index = connection.poolIndex
        guard index >= 0, index < idle.count, idle[index] === connection else { return }
        let last = idle.removeLast()
        if last !== connection {
            idle[index] = last
            last.poolIndex = index
        }
        connection.poolIndex = -1
    }

    /// Gives up the connection that has been idle for longest.
    func makeRoom() {
        guard let oldest = idle.min(by: { $0.idleSince < $1.idleSince }) else { return }
        remove(oldest)
        oldest.close()
    }

    func closeExpired(now: UInt64) {
        for connection in idle.filter({ now >= $0.idleUntil }) {
            remove(connection)
            connection.close()
        }
        sessions.closeExpired(now: now)
    }

    func retire() {
        isRetired = true
        sessions.retire()
        let closing = idle
        idle = []
        for connection in closing {
            connection.poolIndex = -1
            connection.close()
        }
    }
}
