import Host
import HubStore
import HubWorkflows
import Logging
import Model
import Synchronization
import TestSupport
import Testing
import Workflow

/// Workflows on a real PostgreSQL, in real time.
@Suite("Workflows on PostgreSQL", .serialized)
struct PostgresWorkflowTests {
    private struct Clock: HostClock {
        private let start = ContinuousClock.now
        func now() -> Timestamp {
            Timestamp(millisecondsSinceEpoch: 1_900_000_000_000).advanced(by: ContinuousClock.now - start)
        }
        func monotonic() -> Duration { ContinuousClock.now - start }
        func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }
    }

    private let clock = Clock()
    private let ledger = Ledger()

    private func store(_ url: String) throws -> PostgresStore {
        try PostgresStore(
            address: PostgresAddress(url), kinds: [], clock: clock,
            random: SeededRandom(UInt64.random(in: 1...1_000_000)))
    }

    private func engine(_ hub: String, _ journal: any WorkflowJournal) -> WorkflowEngine {
        let ledger = ledger
        let definition = WorkflowDefinition("w") { (context, name: String) in
            for number in 1...4 {
                try await context.step("step \(number)", undo: { _ in ledger.remove("\(name)-\(number)") }) { _ in
                    ledger.make("\(name)-\(number)")
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            let word: String? = try await context.signal("go", timeout: .seconds(60))
            if word == "fail" { throw Problem(.conflict, "No.") }
            return word ?? "late"
        }
        var options = WorkflowEngine.Options(hub: hub)
        options.lease = .seconds(10)
        options.pollInterval = .milliseconds(100)
        options.parkAfter = .milliseconds(200)
        return WorkflowEngine(
            journal: journal, definitions: [definition], options: options, clock: clock, random: SeededRandom(3),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    @Test("a killed hub's runs go on in the other within its lease, and PostgreSQL is restarted meanwhile")
    func takeover() async throws {
        let server = try PostgresServer.own()
        let url = try server.newDatabase()
        let stores = [try store(url), try store(url)]
        let power = WriteCut()
        let hubs = [engine("one", CuttingJournal(inner: stores[0], power: power)), engine("two", stores[1])]
        let tasks = hubs.map { hub in Task { await hub.run() } }
        try await Task.sleep(for: .milliseconds(300))
        for number in 0..<40 { try await hubs[number % 2].start("w", id: "r\(number)", input: "r\(number)") }
        power.cut()
        tasks[0].cancel()
        try server.restartImmediately()
        for number in 0..<40 {
            try await hubs[1].signal("r\(number)", "go", number % 4 == 0 ? "fail" : "yes", signalId: "s")
        }
        for number in 0..<40 {
            let run = try await hubs[1].end(of: "r\(number)", timeout: .seconds(60))
            #expect(run.state == (number % 4 == 0 ? .failed : .succeeded), "\(run)")
            #expect(run.output == (number % 4 == 0 ? nil : "yes"))
        }
        #expect(ledger.standing.count == 30 * 4)
        // A death repeats at most the step that each run was in.
        let repeats = Dictionary(ledger.log.map { ($0, 1) }, uniquingKeysWith: +).values.filter { $0 > 2 }
        #expect(repeats.isEmpty)
        tasks[1].cancel()
        for task in tasks { await task.value }
        for store in stores { try await store.close() }
    }

    @Test("a write of a hub that lost its lease is refused")
    func fencing() async throws {
        let store = try store(try PostgresServer.running().newDatabase())
        let started = try await store.start(NewRun(id: "a", workflow: "w", version: 1, input: 1, seed: 1, owner: "one"))
        #expect(started.isNew && started.run.fence == 1)
        let old = RunHold(runId: "a", owner: "one", fence: 1)
        let line = StepRecord(
            path: "1", sequence: 1, kind: .step, name: "s", state: .succeeded, result: ["x": 1], startedAt: clock.now())
        let mail = try await store.write(JournalWrite(hold: old, steps: [line]))
        #expect(mail == RunMail(mailbox: 0, isCancelRequested: false))
        // Hub one has no lease, so two takes the run.
        let request = ClaimRequest(
            lease: HubLease(hub: "two", duration: .seconds(10)), workflows: ["w": [1]], limit: 5, takesOwn: false)
        let claimed = try await store.claim(request)
        #expect(claimed.count == 1 && claimed[0].run.fence == 2 && claimed[0].steps == [line])
        #expect(try await store.claim(request).isEmpty)
        for change in [nil, RunChange.end(.succeeded, output: 1, error: nil)] {
            do {
                _ = try await store.write(JournalWrite(hold: old, steps: [line], change: change))
                Issue.record("the write was taken")
            } catch let problem as Problem {
                #expect(problem.code == .leaseLost)
            }
        }
        let again = try await store.start(NewRun(id: "a", workflow: "w", version: 1, input: 1, seed: 9, owner: "one"))
        #expect(!again.isNew && again.run.owner == "two" && again.run.seed == 1)
        try await store.close()
    }
}
