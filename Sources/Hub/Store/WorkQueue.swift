import Glibc

/// Jobs for threads of their own, which may wait for a disk or a network as long as they like.
final class WorkQueue<Job: Sendable>: @unchecked Sendable {
    // Unchecked: everything that changes is only touched under `mutex`; the rest is immutable. A `Mutex` of the library
    // has no condition that a thread could wait for.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    /// There is a job, for a thread that has none.
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// There are as many jobs as a thread hopes for.
    private let enough = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [Job] = []
    private var isClosed = false
    /// How many jobs the thread hopes for that gathers some; nil when none does.
    private var hopedFor: Int?

    init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(wakeUp, &attributes)
        pthread_cond_init(enough, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wakeUp)
        pthread_cond_destroy(enough)
        mutex.deallocate()
        wakeUp.deallocate()
        enough.deallocate()
    }

    /// False when the queue is closed.
    func submit(_ job: Job) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed else { return false }
        jobs.append(job)
        guard let hopedFor else {
            pthread_cond_signal(wakeUp)
            return true
        }
        if jobs.count == hopedFor { pthread_cond_signal(enough) }
        return true
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(wakeUp)
        pthread_cond_broadcast(enough)
        pthread_mutex_unlock(mutex)
    }

    /// Up to `count` jobs that wait; waits for the first. Empty when the queue is closed and done.
    func next(_ count: Int) -> [Job] { next(count, hopingFor: 1, atMost: .zero) }

    /// Up to `count` jobs that wait; waits for the first, and then a while for more.
    ///
    /// - Parameters:
    ///   - hope: so many end the wait.
    ///   - patience: how long they are waited for, from the first on.
    func next(_ count: Int, hopingFor hope: Int, atMost patience: Duration) -> [Job] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let hope = min(hope, count)
        repeat {
            while jobs.isEmpty, !isClosed { pthread_cond_wait(wakeUp, mutex) }
            if jobs.count < hope, hopedFor == nil, patience > .zero { gather(hope, patience) }
            // Another thread may have taken them all meanwhile.
        } while jobs.isEmpty && !isClosed
        let batch = Array(jobs.prefix(count))
        jobs.removeFirst(batch.count)
        // What came while this thread gathered woke nobody else.
        if !jobs.isEmpty { pthread_cond_signal(wakeUp) }
        return batch
    }

    private func gather(_ hope: Int, _ patience: Duration) {
        hopedFor = hope
        defer { hopedFor = nil }
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let (seconds, attoseconds) = patience.components
        deadline.tv_nsec += Int(attoseconds / 1_000_000_000)
        deadline.tv_sec += Int(seconds) + deadline.tv_nsec / 1_000_000_000
        deadline.tv_nsec %= 1_000_000_000
        while jobs.count < hope, !isClosed {
            if pthread_cond_timedwait(enough, mutex, &deadline) != 0 { return }
        }
    }
}

/// How long the next group of jobs is gathered, from how the last ones went: callers that come back as soon as they are
/// answered would else find the disk busy with the first of them alone.
struct GatheringPlan {
    private static let patienceMax: Duration = .milliseconds(2)

    private var last = 1
    private var lastButOne = 1
    private(set) var patience: Duration = .zero

    /// How many jobs are hoped for. One that comes alone is not kept waiting.
    var hope: Int { last > 1 ? last + lastButOne : 1 }

    /// Takes note of a group and of how long its commit took: to wait for longer would cost more than it saves.
    mutating func note(_ count: Int, took: Duration) {
        (lastButOne, last) = (last, count)
        patience = min(took, Self.patienceMax)
    }
}
