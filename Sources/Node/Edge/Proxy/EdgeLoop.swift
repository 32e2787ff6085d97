import NIOCore
import Synchronization

/// All that connections of one event loop share. Nothing in it is ever touched from another thread, which is why the
/// data path needs neither locks nor atomics but for the counters that are shown.
///
/// `@unchecked Sendable`: it is handed to its event loop once and used only there.
final class EdgeLoop: @unchecked Sendable {
    let eventLoop: SocketLoop
    let limits: EdgeLimits
    let times: LimitTimes
    let log: AccessLogBuffer
    let metrics: LoopMetrics
    /// Unchecked here and on the data path below: each check costs as much as the access, and one loop, one thread,
    /// and no access held across a call is what makes them needless.
    @exclusivity(unchecked) var requestHead = RequestHead()
    @exclusivity(unchecked) var responseHead = ResponseHead()
    private(set) var table: RoutingTable
    /// Another one for each table.
    private(set) var tableNumber = 0
    private(set) var pools: [UpstreamPool] = []
    private(set) var isDraining = false
    private var connections: [ClientConnection] = []
    private var held: [ClientConnection] = []
    private var random: UInt64
    /// Time as of the last request or tick: exact enough for limits of seconds, and free.
    @exclusivity(unchecked) private(set) var coarseNow: UInt64
    /// What a monotonic time lacks to be milliseconds since the epoch; measured anew with each tick.
    private var wallOffsetMilliseconds: Int64 = 0
    @exclusivity(unchecked) private(set) var date = DateLine()
    private var rotation = 0
    private var ticks: RepeatedTask?
    /// Reused for the heads that go out whenever the last one has been written.
    @exclusivity(unchecked) private var scratch: ByteBuffer
    /// An empty buffer of this loop. The one that an empty buffer has otherwise is the same for all loops, and counting
    /// who uses it makes each wait for the others.
    let nothing: ByteBuffer
    @exclusivity(unchecked) var spares = SpareRequestMemory()
    let files: StaticFileCache
    let secure = SecureConnections()
    let challenges: ChallengeFolder?
    let turn: TurnQueue
    /// How long the head of a request may take when there is no room for others.
    private static let headPatience: UInt64 = 1_000_000_000
    private let connectionsMax: Int
    let descriptorQueue = DescriptorQueue()

    init(
        eventLoop: SocketLoop, table: RoutingTable, limits: EdgeLimits, log: AccessLogBuffer, connectionsMax: Int,
        challenges: ChallengeFolder? = nil
    ) {
        self.challenges = challenges
        self.connectionsMax = connectionsMax
        self.eventLoop = eventLoop
        turn = TurnQueue(eventLoop)
        self.table = table
        self.limits = limits
        times = LimitTimes(limits)
        self.log = log
        metrics = LoopMetrics(routeCount: table.routeKeys.count)
        random = UInt64.random(in: .min ... .max)
        scratch = ByteBufferAllocator().buffer(capacity: 4096)
        nothing = ByteBufferAllocator().buffer(capacity: 1)
        files = StaticFileCache()
        coarseNow = Self.now()
        wallOffsetMilliseconds = Self.wallOffset(coarseNow)
        date.update(wallMilliseconds(coarseNow))
        pools = table.endpoints.map { UpstreamPool(endpoint: $0) }
    }

    var connectionCount: Int { connections.count + secure.sessionCount + secure.handshakeCount }
    var isFull: Bool { connectionCount >= connectionsMax || !descriptorQueue.isEmpty }

    /// Begins the half-second scan for what took too long.
    func start() {
        ticks = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(500), delay: .milliseconds(500)) { _ in
            self.tick()
        }
    }

    func stop() {
        ticks?.cancel()
        for pool in pools { pool.retire() }
        for connection in connections { connection.closeNow() }
        secure.stop()
        log.handOver()
    }

    /// No more keep-alive: idle connections are closed, the others after their response.
    ///
    /// After another process took over: a connection that seems idle may have a request on its way, so it is
    /// told with its next response, and closed only when none comes for a while.
    func drain(isHandedOver: Bool) {
        isDraining = true
        let end = takeTime() &+ 3_000_000_000
        for connection in connections {
            if isHandedOver { connection.expireIfIdle(at: end) } else { connection.closeIfIdle() }
        }
        secure.drain(closesHandshakes: !isHandedOver)
    }

    /// Puts a table in force for every request from here on. Requests under way keep what they have.
    func swap(_ next: RoutingTable) {
        var former: [ObjectIdentifier: UpstreamPool] = [:]
        for pool in pools { former[ObjectIdentifier(pool.endpoint)] = pool }
        pools = next.endpoints.map { endpoint in
            former.removeValue(forKey: ObjectIdentifier(endpoint)) ?? UpstreamPool(endpoint: endpoint)
        }
        table = next
        tableNumber &+= 1
        if next.siteIds != nil { log.handOver() }
        metrics.swap(next)
        for pool in former.values { pool.retire() }
        let waiting = held
        held = []
        for connection in waiting { connection.resumeHeld() }
    }

    /// Closes some connections, among a sample: between requests those that have been idle for longest, and those that
    /// have been sending the head of one for longest, though not before a second; and of those to upstreams, the one
    /// that each pool would use last.
    func makeRoom() {
        for pool in pools { pool.makeRoom() }
        let lastBegin = takeTime() &- Self.headPatience
        secure.makeRoom(begunUntil: lastBegin)
        var idle: [ClientConnection] = []
        var slow: [ClientConnection] = []
        let start = connections.isEmpty ? 0 : Int(nextRandom() % UInt64(connections.count))
        for offset in 0..<min(connections.count, 1024) where idle.count < 256 && slow.count < 256 {
            let connection = connections[(start + offset) % connections.count]
            if let begin = connection.headBegan {
                // One that has just come is about to ask.
                if begin <= lastBegin { slow.append(connection) }
            } else if connection.isIdle {
                idle.append(connection)
            }
        }
        for var found in [idle, slow] {
            found.sort { $0.deadline < $1.deadline }
            for connection in found.prefix(max(1, found.count / 4)) { connection.closeNow() }
        }
    }

    func add(_ connection: ClientConnection) {
        metrics.connectionAccepted()
        connection.registryIndex = connections.count
        connections.append(connection)
    }

    func remove(_ connection: ClientConnection) {
        let index = connection.registryIndex
        guard index >= 0 else { return }
        let last = connections.removeLast()
        if last !== connection {
            connections[index] = last
            last.registryIndex = index
        }
        connection.registryIndex = -1
    }

    func hold(_ connection: ClientConnection) { held.append(connection) }

    func unhold(_ connection: ClientConnection) { held.removeAll { $0 === connection } }

    /// The endpoint with the fewest requests under way that was not tried yet; one that just refused a connection only
    /// when there is no other.
    func choose(
        _ upstream: RoutingTable.Upstream, tried: [EndpointState], now: UInt64
    ) -> RoutingTable.Endpoint? {
        let count = upstream.endpoints.count
        if count == 1, tried.isEmpty { return upstream.endpoints[0] }
        guard count > 0 else { return nil }
        rotation &+= 1
        var best: RoutingTable.Endpoint?
        var bestLoad = Int.max
        for step in 0..<count {
            let endpoint = upstream.endpoints[(step &+ rotation & 0xFFFF) % count]
            if tried.contains(where: { $0 === endpoint.state }) { continue }
            var load = endpoint.state.inFlight.load(ordering: .relaxed)
            if endpoint.slot < pools.count, pools[endpoint.slot].avoidedUntil > now { load += Int.max / 2 }
            if load < bestLoad {
                best = endpoint
                bestLoad = load
            }
        }
        return best
    }

    /// It refused a connection of this loop a moment ago.
    func isAvoided(_ endpoint: RoutingTable.Endpoint) -> Bool {
        endpoint.slot < pools.count && pools[endpoint.slot].endpoint === endpoint.state
            && pools[endpoint.slot].avoidedUntil > coarseNow
    }

    /// The pool of an endpoint, as long as its table is in force.
    func pool(_ endpoint: RoutingTable.Endpoint) -> UpstreamPool {
        if endpoint.slot < pools.count, pools[endpoint.slot].endpoint === endpoint.state { return pools[endpoint.slot] }
        let pool = UpstreamPool(endpoint: endpoint.state)
        pool.retire()
        return pool
    }

    /// SplitMix64, seeded from the system: request ids must be unique, not secret.
    func nextRandom() -> UInt64 {
        random &+= 0x9E37_79B9_7F4A_7C15
        var value = random
        value = (value ^ value &>> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value &>> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value &>> 31
    }

    /// A buffer that `write` fills with at most `bytesMax` bytes.
    @inline(__always)
    func buffer(_ bytesMax: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Int) -> ByteBuffer {
        scratch.clear(minimumCapacity: bytesMax)
        scratch.writeWithUnsafeMutableBytes(minimumWritableBytes: bytesMax) { space in
            write(space.baseAddress!.assumingMemoryBound(to: UInt8.self))
        }
        return scratch
    }

    /// Leaves an empty buffer, and lends the memory of the former to the next who reads.
    @inline(__always)
    func giveBack(_ buffer: inout ByteBuffer) {
        let former = buffer
        buffer = nothing
        eventLoop.giveBack(former)
    }

    static func now() -> UInt64 { NIODeadline.now().uptimeNanoseconds }

    /// The time, which is the coarse one from now on.
    @inline(__always)
    func takeTime() -> UInt64 {
        coarseNow = Self.now()
        return coarseNow
    }

    /// Milliseconds since the epoch of a monotonic time.
    func wallMilliseconds(_ now: UInt64) -> Int64 { Int64(now / 1_000_000) &+ wallOffsetMilliseconds }

    private static func wallOffset(_ now: UInt64) -> Int64 {
        AccessLogBuffer.wallMilliseconds() &- Int64(now / 1_000_000)
    }

    private func tick() {
        let now = takeTime()
        wallOffsetMilliseconds = Self.wallOffset(now)
        date.update(wallMilliseconds(now))
        // From the end on, since a connection that times out is taken off the list by moving the last into its place.
        for index in stride(from: connections.count - 1, through: 0, by: -1) where index < connections.count {
            if connections[index].deadline <= now { connections[index].timedOut(now: now) }
        }
        for pool in pools { pool.closeExpired(now: now) }
        secure.closeExpired(now: now)
        log.handOver()
        eventLoop.trimMemory()
    }
}
