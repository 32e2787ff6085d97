import Host
import Synchronization

/// Stacks whose statuses must be looked at again. Lost with the process: a hub that starts looks at all of them.
final class DirtyStacks: Sendable {
    private let ids = Mutex<Set<String>>([])
    private let marked = Signal()

    func mark(_ id: String) {
        ids.withLock { _ = $0.insert(id) }
        marked.notify()
    }

    /// What was marked since the last call; waits until there is something. Empty when the task is cancelled.
    func next() async -> [String] {
        while true {
            let taken = ids.withLock { ids in
                defer { ids = [] }
                return ids.sorted()
            }
            if !taken.isEmpty || Task.isCancelled { return taken }
            await marked.wait()
        }
    }
}
