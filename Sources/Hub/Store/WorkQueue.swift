import Glibc

/// Jobs for threads of their own, which may wait for a disk or a network as long as they like.
final class WorkQueue<Job: Sendable>: @unchecked Sendable {
    // Unchecked: `jobs` and `isClosed` are only touched under `mutex`; the rest is immutable. A `Mutex` of the library
    // has no condition that a thread could wait for.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [Job] = []
    private var isClosed = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wakeUp)
        mutex.deallocate()
        wakeUp.deallocate()
    }

    /// False when the queue is closed.
    func submit(_ job: Job) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !isClosed else { return false }
        jobs.append(job)
        pthread_cond_signal(wakeUp)
        return true
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(wakeUp)
        pthread_mutex_unlock(mutex)
    }

    /// Up to `count` jobs that wait; waits for the first. Empty when the queue is closed and done.
    func next(_ count: Int) -> [Job] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while jobs.isEmpty, !isClosed { pthread_cond_wait(wakeUp, mutex) }
        let batch = Array(jobs.prefix(count))
        jobs.removeFirst(batch.count)
        return batch
    }
}

/// A thread that runs one function to its end.
enum WorkThread {
    static func start(_ body: @escaping @Sendable () -> Void) {
        let retained = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, retained)
        precondition(code == 0, "a thread for the database could not be made")
        pthread_detach(thread)
    }

    private final class ThreadBody: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
