import Glibc
import Model

/// The right to be the only process of its kind on a data folder, until this process ends in whatever way.
///
/// The lock is the folder's own, so nothing is left behind and nothing has to be healed after a crash.
public struct FolderLock: Sendable {
    /// Waits a little for a process that is about to end.
    ///
    /// - Parameter what: Who holds it, for people: "hub".
    /// - Throws: `conflict` when another process holds it; `storage_failed` when there is no such folder.
    public static func take(_ folder: String, what: String, patience: Duration = .seconds(3)) async throws {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemProblem("open", folder) }
        let deadline = ContinuousClock.now + patience
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                let problem = systemProblem("flock", folder)
                close(descriptor)
                throw problem
            }
            guard ContinuousClock.now < deadline else {
                close(descriptor)
                throw Problem(
                    .conflict, "Another roost \(what) works on \(folder).",
                    hint: "Stop that one first, or name another folder with --data.")
            }
            do {
                try await Task.sleep(for: .milliseconds(20))
            } catch {
                close(descriptor)
                throw error
            }
        }
    }
}
