import Glibc
public import Host
public import Model
import Synchronization

/// A clock that jumps to the next timer, and the executor of all tasks that live by it.
///
/// Everything runs on the thread that calls ``run(_:)``; which of several ready jobs comes next is drawn from the seed.
/// So a run is a function of its seed, and a failing one replays exactly.
///
/// `@unchecked`: the state is guarded by a mutex; jobs are handed to the runtime outside of it.
public final class VirtualTime: TaskExecutor, HostClock, @unchecked Sendable {
    private struct Timer {
        var at: Duration
        var number: UInt64
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Duration = .zero
        var ready: [UnownedJob] = []
        var timers: [UInt64: Timer] = [:]
        /// Numbers of timers by time; a cancelled one is skipped when its turn comes.
        var order = TimerQueue()
        var cancelled: Set<UInt64> = []
        var nextNumber: UInt64 = 0
    }

    private let state = Mutex(State())
    private let random: SeededRandom
    /// Wall-clock time at virtual zero: 2026-01-01T00:00:00Z.
    private let origin = Timestamp(millisecondsSinceEpoch: 1_767_225_600_000)

    public init(random: SeededRandom) { self.random = random }

    /// Takes a job of a task that lives here.
    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        state.withLock { $0.ready.append(unowned) }
    }

    public func now() -> Timestamp { origin.advanced(by: monotonic()) }
    public func monotonic() -> Duration { state.withLock { $0.now } }

    public func sleep(for duration: Duration) async throws {
        let number = state.withLock { state -> UInt64 in
            state.nextNumber += 1
            return state.nextNumber
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isCancelled = state.withLock { state -> Bool in
                    if state.cancelled.remove(number) != nil || Task.isCancelled { return true }
                    let at = state.now + max(duration, .zero)
                    state.timers[number] = Timer(at: at, number: number, continuation: continuation)
                    state.order.push(.init(at: at, number: number))
                    return false
                }
                if isCancelled { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            state.withLock { $0.timers.removeValue(forKey: number) }?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Runs jobs and timers until the body has returned, on a thread of its own: a whole life would keep one of the few
    /// threads that all other tasks share.
    ///
    /// - Throws: what the body throws; ``Stuck`` when nothing is left to run and it has not returned.
    public func run<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        let box = Mutex<Swift.Result<Result, any Error>?>(nil)
        let outcome = Outcome(box)
        Task(executorPreference: self) {
            do {
                let value = try await body()
                outcome.set(.success(value))
            } catch {
                outcome.set(.failure(error))
            }
        }
        return try await NativeThread.run("simulation") {
            // Others wait for real events, and are not to be late because of this.
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
            return try self.drive(outcome)
        }
    }

    private func drive<Result: Sendable>(_ outcome: Outcome<Result>) throws -> Result {
        while true {
            if let result = outcome.get() { return try result.get() }
            if let job = nextJob() {
                job.runSynchronously(on: asUnownedTaskExecutor())
            } else if !fireNextTimer() {
                throw Stuck()
            }
        }
    }

    /// Nothing is left to run, and the body waits.
    public struct Stuck: Error {}

    private func nextJob() -> UnownedJob? {
        state.withLock { state in
            guard !state.ready.isEmpty else { return nil }
            let index = state.ready.count == 1 ? 0 : random.below(state.ready.count)
            state.ready.swapAt(index, state.ready.count - 1)
            return state.ready.removeLast()
        }
    }

    private func fireNextTimer() -> Bool {
        let timer = state.withLock { state -> Timer? in
            while let entry = state.order.pop() {
                guard let next = state.timers.removeValue(forKey: entry.number) else { continue }
                state.now = max(state.now, next.at)
                return next
            }
            return nil
        }
        timer?.continuation.resume()
        return timer != nil
    }
}

private final class Outcome<Result: Sendable>: Sendable {
    private let box: Mutex<Swift.Result<Result, any Error>?>
    init(_ box: consuming Mutex<Swift.Result<Result, any Error>?>) { self.box = box }
    func set(_ value: Swift.Result<Result, any Error>) { box.withLock { $0 = value } }
    func get() -> Swift.Result<Result, any Error>? { box.withLock { $0 } }
}
