import Glibc
import Host
import Logging
import Model
import NIOConcurrencyHelpers
import Synchronization

/// Writes the access log on a thread of its own. What it cannot take in time is dropped and counted, and the count is
/// written into the log.
///
/// Lines of sites that are gone are taken out by the same thread, a file at a time, so that the queue never waits long.
///
/// `@unchecked Sendable`: all mutable state is guarded by `lock`, but for the files and what is to be purged, which
/// only the thread touches.
final class AccessLogWriter: @unchecked Sendable {
    static let fileBytesMax = 50 * 1024 * 1024
    static let filesKept = 5
    static let queueBytesMax = 16 * 1024 * 1024

    private let folder: String
    private let logger: Logger
    private let lock = ConditionLock(value: 0)
    private struct Batch {
        var lines: [UInt8]
        var count: Int
    }

    private var queue: [Batch] = []
    private var queueBytes = 0
    private var droppedLines = 0
    private let droppedTotal = Atomic<Int>(0)
    private var isStopping = false
    /// The sites that were asked to be kept last.
    private var keptSites: Set<String>?
    private var isPurgeAsked = false
    private var isPurgeUnderWay = false
    private var thread: NativeThread?
    /// Locked while a file is written, moved or replaced: a process that hands over writes beside its successor.
    private var folderLock: Int32 = -1
    private var file: Int32 = -1
    private var fileBytes = 0
    private var hasComplained = false
    /// Files that are still to be purged, from the newest on: what is moved meanwhile comes later.
    private var toPurge: [String] = []
    private var hasPurgeFailed = false

    init(folder: String, logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    /// Lines that were lost since start.
    var dropped: Int { droppedTotal.load(ordering: .relaxed) }

    /// Whether lines of sites that are gone are still to be taken out.
    var isPurging: Bool {
        lock.lock()
        defer { lock.unlock() }
        return isPurgeAsked || isPurgeUnderWay
    }

    private var path: String { folder + "/access.log" }

    /// - Throws: `unavailable` when the system has no threads left.
    func start() throws(Problem) {
        mkdir(folder, 0o750)
        folderLock = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        thread = try NativeThread("access-log") { self.run() }
    }

    /// Takes lines from an event loop; never blocks for longer than another loop's hand-over.
    func take(_ lines: [UInt8], lineCount: Int) {
        lock.lock()
        if queueBytes + lines.count > Self.queueBytesMax {
            droppedLines += lineCount
            droppedTotal.add(lineCount, ordering: .relaxed)
        } else {
            queue.append(Batch(lines: lines, count: lineCount))
            queueBytes += lines.count
        }
        lock.unlock(withValue: 1)
    }

    /// Keeps the lines of these sites and takes out those of all others; nil changes nothing.
    func keep(sites: Set<String>?) {
        guard let sites else { return }
        lock.lock()
        // At first nobody knows which ones are in the files.
        if keptSites?.isSubset(of: sites) != true { isPurgeAsked = true }
        keptSites = sites
        lock.unlock(withValue: 1)
    }

    /// Writes what is left, and ends the thread.
    func stop() {
        lock.lock()
        isStopping = true
        lock.unlock(withValue: 1)
        thread?.join()
    }

    private func run() {
        while true {
            waitForWork()
            let batches = queue
            let dropped = droppedLines
            let stops = isStopping
            queue = []
            queueBytes = 0
            droppedLines = 0
            if isPurgeAsked {
                toPurge = [path] + (1...Self.filesKept).map { "\(path).\($0)" }
                (isPurgeAsked, isPurgeUnderWay, hasPurgeFailed) = (false, true, false)
            }
            let sites = keptSites
            lock.unlock(withValue: 0)
            for batch in batches where !write(batch.lines) { lost(batch.count) }
            if dropped > 0, !write(Array("{\"dropped_lines\":\(dropped)}\n".utf8)) {
                lock.lock()
                droppedLines += dropped
                lock.unlock()
            }
            if stops { break }
            if let sites { purgeNext(keeping: sites) }
        }
        if file >= 0 { close(file) }
        if folderLock >= 0 { close(folderLock) }
    }

    /// Returns with the lock.
    private func waitForWork() {
        if toPurge.isEmpty {
            lock.lock(whenValue: 1)
        } else if !hasPurgeFailed || !lock.lock(whenValue: 1, timeoutSeconds: 5) {
            lock.lock()
        }
    }

    /// One file; what fails is tried again after a while, and by the next process.
    private func purgeNext(keeping sites: Set<String>) {
        guard let next = toPurge.first else { return }
        let failure = exclusively { AccessLogPurge.run(next, keeping: sites) }
        if failure != 0 {
            if !hasPurgeFailed { complain("cannot be purged", failure) }
            hasPurgeFailed = true
            return
        }
        hasPurgeFailed = false
        toPurge.removeFirst()
        guard toPurge.isEmpty else { return }
        lock.lock()
        isPurgeUnderWay = false
        lock.unlock()
    }

    private func exclusively<Result>(_ body: () -> Result) -> Result {
        while folderLock >= 0, flock(folderLock, LOCK_EX) != 0, errno == EINTR {}
        defer { if folderLock >= 0 { flock(folderLock, LOCK_UN) } }
        return body()
    }

    /// They are told of as soon as something can be written again.
    private func lost(_ lineCount: Int) {
        droppedTotal.add(lineCount, ordering: .relaxed)
        lock.lock()
        droppedLines += lineCount
        lock.unlock()
    }

    /// - Returns: whether all of it was written.
    private func write(_ batch: [UInt8]) -> Bool { exclusively { writeOnce(batch) } }

    private func writeOnce(_ batch: [UInt8]) -> Bool {
        if file < 0 || fileBytes >= Self.fileBytesMax || !isInPlace { open() }
        guard file >= 0 else { return false }
        var offset = 0
        while offset < batch.count {
            let written = batch.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + offset, $0.count - offset) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                complain("cannot be written", errno)
                return false
            }
            offset += written
        }
        hasComplained = false
        fileBytes += batch.count
        return true
    }

    /// Whether the open file is the one that the path names; another process may have moved or replaced it.
    private var isInPlace: Bool {
        var (opened, named) = (stat(), stat())
        return fstat(file, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino
            && opened.st_dev == named.st_dev
    }

    /// Opens the file, after moving a full one out of the way.
    private func open() {
        if file >= 0 { close(file) }
        openNewest()
        guard file >= 0, fileBytes >= Self.fileBytesMax else { return }
        close(file)
        rotate()
        openNewest()
    }

    private func openNewest() {
        file = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard file >= 0 else { return complain("cannot be opened", errno) }
        fileBytes = max(0, Int(lseek(file, 0, SEEK_END)))
    }

    private func rotate() {
        unlink("\(path).\(Self.filesKept)")
        for number in stride(from: Self.filesKept - 1, through: 1, by: -1) {
            rename("\(path).\(number)", "\(path).\(number + 1)")
        }
        rename(path, "\(path).1")
    }

    /// Once per spell of trouble: a full disk must not fill another log.
    private func complain(_ what: String, _ code: Int32) {
        guard !hasComplained else { return }
        hasComplained = true
        logger.error("The access log \(what): \(String(cString: strerror(code)))", metadata: ["path": "\(path)"])
    }
}
