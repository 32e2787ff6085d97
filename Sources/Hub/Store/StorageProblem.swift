import GRDB
import Model

extension Problem {
    /// What a database error means for the person who must act on it. Problems pass through.
    init(storage error: any Error) {
        guard let error = error as? DatabaseError else {
            self.init(wrapping: error, doing: "Reading or writing the database")
            return
        }
        let context = "\(error.extendedResultCode.rawValue): \(error.message ?? "")"
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(
                .storage, "The database cannot grow because its disk is full; nothing was changed.",
                hint: "Free space on the hub's disk and try again.", context: context)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            self.init(
                .storage, "The database cannot be written; nothing was changed.",
                hint: "Check the owner, mode and mount of the hub's data folder.", context: context)
        case .SQLITE_IOERR:
            self.init(
                .storage, "The hub's disk failed to read or write the database; nothing was changed.",
                hint: "Check free space and the disk's health on the hub.", context: context)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self.init(
                .storage, "The database file is damaged.", hint: "Restore the hub's data folder from a backup.",
                context: context)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(
                .unavailable, "The database is in use by another program.",
                hint: "Check that only one hub runs on this data folder.", context: context)
        default:
            self.init(.storage, "The database refused the operation; nothing was changed.", context: context)
        }
    }
}
