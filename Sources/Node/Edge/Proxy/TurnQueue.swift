import NIOCore

/// Heads that were read in one turn of the event loop. They are served when all that was ready has been read: answers
/// first, so that clients are not kept waiting by each other's next requests, and among themselves those whose clients
/// wait longest.
///
/// epoll tells of what it told of before in its old place, whenever it became ready, so that without this some wait for
/// a turn more than others. That the same is done to many at a time costs less, too.
///
/// `@unchecked Sendable`: confined to its event loop.
final class TurnQueue: @unchecked Sendable {
    private typealias Answer = (since: UInt64, connection: UpstreamConnection)
    private typealias Request = (since: UInt64, connection: ClientConnection)

    private let eventLoop: any EventLoop
    @exclusivity(unchecked) private var answers: [Answer] = []
    @exclusivity(unchecked) private var requests: [Request] = []
    @exclusivity(unchecked) private var isPlanned = false
    /// Empty ones, for their memory.
    @exclusivity(unchecked) private var spareAnswers: [Answer] = []
    @exclusivity(unchecked) private var spareRequests: [Request] = []

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Plans a call of ``UpstreamConnection/serveQueued()``.
    ///
    /// - Parameter since: when its request began, in nanoseconds.
    func add(_ connection: UpstreamConnection, since: UInt64) {
        answers.append((since, connection))
        plan()
    }

    /// Plans a call of ``ClientConnection/serveQueued()``.
    ///
    /// - Parameter since: when its last answer went out, in nanoseconds; about then it sent the next request.
    func add(_ connection: ClientConnection, since: UInt64) {
        requests.append((since, connection))
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
        swap(&answers, &spareAnswers)
        swap(&requests, &spareRequests)
        spareAnswers.sort { $0.since < $1.since }
        for (_, connection) in spareAnswers { connection.serveQueued() }
        spareAnswers.removeAll(keepingCapacity: true)
        spareRequests.sort { $0.since < $1.since }
        for (_, connection) in spareRequests { connection.serveQueued() }
        spareRequests.removeAll(keepingCapacity: true)
    }
}
