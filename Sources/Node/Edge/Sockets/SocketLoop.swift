import CRoost
import Dispatch
import Glibc
import Host
import Model
import NIOCore
import Synchronization

/// What a ``SocketLoop`` watches. It belongs to the loop until it is let go of.
///
/// `@unchecked Sendable`: confined to its loop.
class LoopSource: @unchecked Sendable {
    fileprivate final var sourceIndex = -1

    /// - Parameter events: of `croost_ready`.
    func ready(_ events: UInt32) {}

    /// The loop ends: close what is open.
    func loopEnded() {}
}

/// One thread that serves sockets, an event loop for NIO as well.
///
/// epoll tells of each change of a socket once, in the order in which they came, so that none waits behind those that
/// were served before it, and none is looked at again to find that nothing is there. NIO's own loops are told as long
/// as there is something, and their channels keep a dozen objects for each connection.
///
/// `@unchecked Sendable`: what is not behind a lock is used on its thread only.
final class SocketLoop: EventLoop, @unchecked Sendable {
    private struct Arrivals {
        var tasks: [@Sendable () -> Void] = []
        var isEnded = false
    }

    private static let eventsMax = 512
    /// Tasks may make tasks; sockets wait for so many rounds of them.
    private static let roundsMax = 16
    /// What of the source next in line is asked for while the ones before it are served.
    private static let prefetchBytes = 512
    private static let prefetchDistance = 3

    private let epoll: Int32
    private let waker: Int32
    private let thread = Atomic<UInt>(0)
    /// From other threads.
    private let arrivals = Mutex(Arrivals())
    private let hasArrivals = Atomic<Bool>(false)
    @exclusivity(unchecked) private var tasks: [() -> Void] = []
    @exclusivity(unchecked) private var timers = TimerHeap()
    private var sources: [LoopSource] = []
    /// Let go of in this turn: what epoll has told already may still be of them.
    @exclusivity(unchecked) private var gone: [LoopSource] = []
    /// Sockets with more to read or to send than they may at once.
    @exclusivity(unchecked) private var unfinished: [ByteStream] = []
    private let events = UnsafeMutablePointer<croost_event>.allocate(capacity: SocketLoop.eventsMax)
    @exclusivity(unchecked) private var spares = SpareBuffers()
    private var isEnding = false
    private var ended: CheckedContinuation<Void, Never>?

    /// - Throws: `unavailable` when the system has no descriptors or threads left.
    init(name: String) throws(Problem) {
        epoll = croost_epoll()
        waker = croost_waker()
        guard epoll >= 0, waker >= 0, croost_watch_input(epoll, waker, nil) == 0 else { throw Self.failure(errno) }
        try NativeThread.detached(name) { self.run() }
    }

    deinit {
        events.deallocate()
        for descriptor in [epoll, waker] where descriptor >= 0 { Glibc.close(descriptor) }
    }

    private static func failure(_ code: Int32) -> Problem {
        Problem(.unavailable, "An event loop cannot be started.", context: String(cString: strerror(code)))
    }

    // MARK: the thread

    private func run() {
        thread.store(UInt(pthread_self()), ordering: .releasing)
        // A file sent to who is gone would end the process; the error says it as well.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        while !isEnding { turn() }
        end()
    }

    private func turn() {
        let isBusy = !tasks.isEmpty || !unfinished.isEmpty
        let count = Int(croost_wait(epoll, events, Int32(Self.eventsMax), isBusy ? 0 : timers.waitMilliseconds()))
        for index in 0..<max(0, count) {
            if index + Self.prefetchDistance < count {
                let next = UnsafeRawPointer(events[index + Self.prefetchDistance].source)
                croost_prefetch(next, next == nil ? 0 : Self.prefetchBytes)
            }
            guard let source = events[index].source else {
                clearWaker()
                continue
            }
            let what = events[index].what
            // It is held by `sources` or by `gone`.
            Unmanaged<LoopSource>.fromOpaque(source)._withUnsafeGuaranteedRef { $0.ready(what) }
        }
        if !unfinished.isEmpty { goOn() }
        takeArrivals()
        for timer in timers.takeDue() { timer.run() }
        runTasks()
        if !gone.isEmpty { gone.removeAll(keepingCapacity: true) }
    }

    private func goOn() {
        let due = unfinished
        unfinished.removeAll(keepingCapacity: true)
        for stream in due { stream.goOn() }
    }

    private func runTasks() {
        for _ in 0..<Self.roundsMax where !tasks.isEmpty {
            let due = tasks
            tasks = []
            for task in due { task() }
        }
    }

    private func takeArrivals() {
        guard hasArrivals.load(ordering: .acquiring) else { return }
        let arrived = arrivals.withLock { arrivals in
            hasArrivals.store(false, ordering: .releasing)
            defer { arrivals.tasks = [] }
            return arrivals.tasks
        }
        for task in arrived { tasks.append(task) }
    }

    private func clearWaker() {
        var count: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &count) { read(waker, $0.baseAddress, $0.count) }
    }

    private func end() {
        while let source = sources.last {
            source.loopEnded()
            if sources.last === source { sources.removeLast() }
        }
        timers.abandonAll()
        arrivals.withLock { $0.isEnded = true }
        takeArrivals()
        while !tasks.isEmpty { runTasks() }
        timers.abandonAll()
        gone = []
        unfinished = []
        // Another thread may have the number of this one some day.
        thread.store(0, ordering: .releasing)
        ended?.resume()
    }

    /// Closes what is open, and ends the thread. What it is asked to do later is not done, and not refused either.
    func stop() async {
        await withCheckedContinuation { continuation in
            execute {
                self.ended = continuation
                self.isEnding = true
            }
        }
    }

    // MARK: sources

    /// - Parameter onlyChanges: whether each change is told once, and not as long as there is something to read.
    /// - Throws: `IOError` when the system cannot watch one more, or the loop ends.
    func watch(_ descriptor: Int32, for source: LoopSource, onlyChanges: Bool) throws {
        guard !isEnding else { throw IOError(errnoCode: ESHUTDOWN, reason: "event loop") }
        let pointer = Unmanaged.passUnretained(source).toOpaque()
        let status =
            onlyChanges
            ? croost_watch_changes(epoll, descriptor, pointer) : croost_watch_input(epoll, descriptor, pointer)
        guard status == 0 else { throw IOError(errnoCode: errno, reason: "epoll_ctl") }
        guard source.sourceIndex < 0 else { return }
        source.sourceIndex = sources.count
        sources.append(source)
    }

    /// - Parameter descriptor: not closed yet. It may be open elsewhere and would go on to be told of.
    func letGo(of source: LoopSource, watching descriptor: Int32) {
        let index = source.sourceIndex
        guard index >= 0 else { return }
        _ = croost_unwatch(epoll, descriptor)
        source.sourceIndex = -1
        gone.append(source)
        let last = sources.removeLast()
        if last !== source {
            sources[index] = last
            last.sourceIndex = index
        }
    }

    /// Plans a call of ``ByteStream/goOn()``, after what epoll tells of next if not of now.
    func goOnLater(_ stream: ByteStream) { unfinished.append(stream) }

    // MARK: memory

    /// An empty buffer of one of the sizes that reads have.
    @inline(__always)
    func takeBuffer(_ bytes: Int) -> ByteBuffer { spares.take(bytes) }

    /// Takes back what is not used any more, for the next who reads.
    @inline(__always)
    func giveBack(_ buffer: consuming ByteBuffer) { spares.give(buffer) }

    /// Frees half of the large pieces that nobody uses now.
    func trimMemory() { spares.trim() }

    // MARK: event loop

    var inEventLoop: Bool { UInt(pthread_self()) == thread.load(ordering: .acquiring) }

    func execute(_ task: @escaping @Sendable () -> Void) { _executeIsolatedUnsafeUnchecked(task) }

    func _executeIsolatedUnsafeUnchecked(_ task: @escaping () -> Void) {
        if inEventLoop {
            tasks.append(task)
            return
        }
        // Handed over whole: who gave it does not use it any more.
        nonisolated(unsafe) let task = task
        let isFirst = arrivals.withLock { arrivals in
            guard !arrivals.isEnded else { return false }
            arrivals.tasks.append { task() }
            return !hasArrivals.exchange(true, ordering: .acquiringAndReleasing)
        }
        guard isFirst else { return }
        var one: UInt64 = 1
        _ = withUnsafeBytes(of: &one) { write(waker, $0.baseAddress, $0.count) }
    }

    func submit<T>(_ task: @escaping @Sendable () throws -> T) -> EventLoopFuture<T> {
        let promise = makePromise(of: T.self)
        execute { promise.assumeIsolated().completeWith(Result(catching: task)) }
        return promise.futureResult
    }

    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let timer = LoopTimer(
            deadline: deadline.uptimeNanoseconds, abandoned: { promise.fail(EventLoopError.shutdown) }
        ) {
            promise.assumeIsolated().completeWith(Result(catching: task))
        }
        let scheduled = Scheduled(promise: promise) { self.now { self.timers.cancel(timer) } }
        now { self.timers.insert(timer) }
        return scheduled
    }

    func scheduleTask<T>(in time: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: .now() + time, task)
    }

    /// At once when it is called on the loop.
    private func now(_ body: @escaping @Sendable () -> Void) {
        if inEventLoop { body() } else { execute(body) }
    }

    /// Not by this way: the loop is one of several, and ends with ``stop()``.
    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        queue.async { callback(EventLoopError.unsupportedOperation) }
    }
}
