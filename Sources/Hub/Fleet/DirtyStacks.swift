import Synchronization

/// Stacks whose statuses must be looked at again. Lost with the process: a hub that starts looks at all of them.
final class DirtyStacks: Sendable {
    private struct State {
        var ids: Set<String> = []
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func mark(_ id: String) {
        state.withLock { state in
            state.ids.insert(id)
            defer { state.waiter = nil }
            return state.waiter
        }?.resume()
    }

    /// What was marked since the last call; waits until there is something. Empty when the task is cancelled.
    func next() async -> [String] {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state -> Bool in
                    if !state.ids.isEmpty || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }?.resume()
        }
        return state.withLock { state in
            defer { state.ids = [] }
            return state.ids.sorted()
        }
    }
}
