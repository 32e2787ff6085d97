package import Host
import Synchronization

/// Wakes one waiting task. A ring that comes before the wait is not lost.
package final class Bell: Sendable {
    package init() {}

    private struct State {
        var hasRung = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    package func ring() {
        state.withLock { state in
            defer { state.waiter = nil }
            if state.waiter == nil { state.hasRung = true }
            return state.waiter
        }?.resume()
    }

    /// Returns after a ring, or when the task is cancelled.
    package func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state -> Bool in
                    if state.hasRung || Task.isCancelled {
                        state.hasRung = false
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
    }

    /// Returns after a ring, after the time, or when the task is cancelled.
    package func wait(_ duration: Duration, _ clock: any HostClock) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask {
                // Only cancellation ends it early, and the caller looks for that.
                try? await clock.sleep(for: duration)
            }
            await group.next()
            group.cancelAll()
        }
    }
}
