import CRoost
import NIOCore

/// Heads that were read in one turn of the event loop. They are served when all that was ready has been read: answers
/// first, then requests, and among themselves those first whose clients wait longest.
///
/// With a thousand connections a turn has hundreds of them. epoll tells of a socket that it told of before in its old
/// place, whenever it became ready, so that served as they are read some would wait for a turn more than others; and to
/// do the same for many costs less than to do everything for one after the other, since all that one needs is out of
/// the cache when its turn comes.
///
/// `@unchecked Sendable`: confined to its event loop.
final class TurnQueue: @unchecked Sendable {
    private struct Waiting<Connection: AnyObject> {
        let since: UInt64
        let connection: Connection
        /// The connection of the client, to be looked at without counting who uses it.
        let client: UnsafeRawPointer
    }

    /// What of the connection next in line is asked for while the ones before it are served: enough for its members.
    private static let prefetchBytes = 768
    private static let prefetchDistance = 3

    private let eventLoop: any EventLoop
    @exclusivity(unchecked) private var answers: [Waiting<UpstreamConnection>] = []
    @exclusivity(unchecked) private var requests: [Waiting<ClientConnection>] = []
    @exclusivity(unchecked) private var isPlanned = false
    /// Empty between two turns; here for their memory.
    @exclusivity(unchecked) private var dueAnswers: [Waiting<UpstreamConnection>] = []
    @exclusivity(unchecked) private var dueRequests: [Waiting<ClientConnection>] = []

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Plans a call of ``UpstreamConnection/serveQueued()``. Requests that began first are answered first.
    func add(_ connection: UpstreamConnection, for client: ClientConnection) {
        answers.append(
            Waiting(since: client.request.startedAt, connection: connection, client: Self.address(client)))
        plan()
    }

    /// Plans a call of ``ClientConnection/serveQueued()``. Who got an answer first had time to ask again first.
    func add(_ connection: ClientConnection) {
        requests.append(
            Waiting(since: connection.servedAt, connection: connection, client: Self.address(connection)))
        plan()
    }

    private func plan() {
        guard !isPlanned else { return }
        isPlanned = true
        eventLoop.execute { self.serve() }
    }

    private func serve() {
        isPlanned = false
        // What is added meanwhile has its own turn.
        swap(&answers, &dueAnswers)
        swap(&requests, &dueRequests)
        Self.serve(&dueAnswers) { $0.serveQueued() }
        Self.serve(&dueRequests) { $0.serveQueued() }
    }

    @inline(__always)
    private static func serve<Connection>(_ due: inout [Waiting<Connection>], _ serve: (Connection) -> Void) {
        due.sort { $0.since < $1.since }
        for index in due.indices {
            if index + prefetchDistance < due.count {
                croost_prefetch(due[index + prefetchDistance].client, prefetchBytes)
            }
            serve(due[index].connection)
        }
        due.removeAll(keepingCapacity: true)
    }

    @inline(__always)
    private static func address(_ connection: ClientConnection) -> UnsafeRawPointer {
        UnsafeRawPointer(Unmanaged.passUnretained(connection).toOpaque())
    }
}
