package import Model
package import Workflow

/// A journal whose hub can be killed before or after any write.
package struct CuttingJournal: WorkflowJournal {
    let inner: any WorkflowJournal
    let power: WriteCut

    package init(inner: any WorkflowJournal, power: WriteCut) {
        self.inner = inner
        self.power = power
    }

    package func start(_ run: NewRun) async throws -> StartedRun {
        try await power.counted { try await inner.start(run) }
    }
    package func write(_ write: JournalWrite) async throws -> RunMail {
        try await power.counted { try await inner.write(write) }
    }
    /// Only a claim that found something counts; one that did not changed nothing.
    package func claim(_ request: ClaimRequest) async throws -> [RunHistory] {
        try power.check()
        let found = try await inner.claim(request)
        return found.isEmpty ? [] : try await power.counted { found }
    }
    package func mailbox(of runId: String) async throws -> RunMailbox {
        try power.check()
        return try await inner.mailbox(of: runId)
    }
    package func renew(_ lease: HubLease) async throws -> [String: RunMail] {
        try power.check()
        return try await inner.renew(lease)
    }
    package func send(_ signal: SignalRecord, to runId: String) async throws -> Bool {
        try await power.counted { try await inner.send(signal, to: runId) }
    }
    package func cancel(_ runId: String) async throws { try await power.counted { try await inner.cancel(runId) } }
    package func abandon(_ runId: String) async throws { try await power.counted { try await inner.abandon(runId) } }
    package func retry(_ runId: String) async throws { try await power.counted { try await inner.retry(runId) } }
    package func run(_ id: String) async throws -> RunRecord? {
        try power.check()
        return try await inner.run(id)
    }
    package func history(of runId: String) async throws -> RunHistory? {
        try power.check()
        return try await inner.history(of: runId)
    }
    package func runs(_ filter: RunFilter) async throws -> [RunRecord] { try await inner.runs(filter) }
    package func removeEnded(before: Timestamp, limit: Int) async throws -> Int {
        try power.check()
        return try await inner.removeEnded(before: before, limit: limit)
    }
}
