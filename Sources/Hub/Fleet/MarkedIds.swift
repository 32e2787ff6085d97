import Host
import Synchronization

/// Ids of what must be looked at again, each once however often it is marked. Lost with the process.
final class MarkedIds: Sendable {
    private let ids = Mutex<Set<String>>([])
    private let marked = Signal()

    func mark(_ id: String) {
        ids.withLock { _ = $0.insert(id) }
        marked.notify()
    }

    /// What was marked since the last call.
    func take() -> [String] {
        ids.withLock { ids in
            defer { ids = [] }
            return ids.sorted()
        }
    }

    /// What was marked since the last call; waits until there is something. Empty when the task is cancelled.
    func next() async -> [String] {
        while true {
            let taken = take()
            if !taken.isEmpty || Task.isCancelled { return taken }
            await marked.wait()
        }
    }
}
