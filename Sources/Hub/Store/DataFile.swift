import Glibc
import Model

/// The database file, before SQLite sees it.
enum DataFile {
    /// Makes an empty file that only its owner can read. SQLite gives its journals the mode of the database.
    static func create(_ path: String) throws(Problem) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            // A read-only database can still be opened by SQLite, which then refuses writes with a reason.
            if access(path, R_OK) == 0 { return }
            throw Problem(
                .storage, "The database \(path) cannot be opened: \(reason).",
                hint: "Check the owner, mode and mount of the hub's data folder.")
        }
        close(descriptor)
    }
}
