import Host
import HubStore
import Logging
import Model
import Synchronization
import Workflow

/// Tells pages that runs went on: those of this hub at once, those of other hubs on the same store a moment later and
/// many at a time, since telling them is a transaction of its own.
final class RunAnnouncer: Sendable {
    private static let gathering: Duration = .milliseconds(200)

    private let store: any Store
    private let changes: ChangeFeed
    private let clock: any HostClock
    private let logger: Logger
    private let waiting = Mutex<Set<String>>([])
    private let news = Signal()

    init(store: any Store, changes: ChangeFeed, clock: any HostClock, logger: Logger) {
        self.store = store
        self.changes = changes
        self.clock = clock
        self.logger = logger
    }

    func note(_ runId: String) {
        changes.publish([HubChange(kind: HubChange.workflowRun, id: runId)])
        waiting.withLock { _ = $0.insert(runId) }
        news.notify()
    }

    /// Tells other hubs until the task is cancelled. What it could not tell is shown when a page is opened anew.
    func run() async {
        while !Task.isCancelled {
            await news.wait()
            // A cancelled sleep ends the loop at its head.
            try? await clock.sleep(for: Self.gathering)
            let ids = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            guard !ids.isEmpty, !Task.isCancelled else { continue }
            do {
                try await store.write { transaction in
                    try transaction.announce(ids.sorted().map { HubChange(kind: HubChange.workflowRun, id: $0) })
                }
            } catch {
                logger.debug("other hubs could not be told of workflows", metadata: ["error": "\(error)"])
            }
        }
    }
}

/// A journal that tells of every change that went through it.
struct AnnouncedJournal: WorkflowJournal {
    let inner: any WorkflowJournal
    let announcer: RunAnnouncer

    func start(_ run: NewRun) async throws -> StartedRun {
        let started = try await inner.start(run)
        if started.isNew { announcer.note(run.id) }
        return started
    }

    func write(_ write: JournalWrite) async throws -> RunMail {
        let mail = try await inner.write(write)
        announcer.note(write.hold.runId)
        return mail
    }

    func claim(_ request: ClaimRequest) async throws -> [RunHistory] {
        let found = try await inner.claim(request)
        for history in found { announcer.note(history.run.id) }
        return found
    }

    func mailbox(of runId: String) async throws -> RunMailbox { try await inner.mailbox(of: runId) }
    func renew(_ lease: HubLease) async throws -> [String: RunMail] { try await inner.renew(lease) }

    func send(_ signal: SignalRecord, to runId: String) async throws -> Bool {
        try await inner.send(signal, to: runId)
    }

    func cancel(_ runId: String) async throws {
        try await inner.cancel(runId)
        announcer.note(runId)
    }

    func abandon(_ runId: String) async throws {
        try await inner.abandon(runId)
        announcer.note(runId)
    }

    func retry(_ runId: String) async throws {
        try await inner.retry(runId)
        announcer.note(runId)
    }

    func run(_ id: String) async throws -> RunRecord? { try await inner.run(id) }
    func history(of runId: String) async throws -> RunHistory? { try await inner.history(of: runId) }
    func runs(_ filter: RunFilter) async throws -> [RunRecord] { try await inner.runs(filter) }
    func removeEnded(before: Timestamp, limit: Int) async throws -> Int {
        try await inner.removeEnded(before: before, limit: limit)
    }
}
