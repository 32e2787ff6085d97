import Host
import HubStore
import HubWorkflows
import Model
import Synchronization
import TestSupport
import Testing
import Workflow

@Suite("Workflow engine")
struct WorkflowEngineTests {
    private func refusal(_ body: () async throws -> Void) async -> Problem.Code? {
        do {
            try await body()
        } catch let problem as Problem {
            return problem.code
        } catch {}  // any other error is not the one that is looked for
        return nil
    }

    @Test("starting twice starts once; another input is refused")
    func startTwice() async throws {
        try await WorkflowWorld.run({ Sample.definitions($0) }) { world in
            world.startHub()
            for _ in 0..<3 { try await world.operate { try await $0.start("linear", id: "a", input: "x") } }
            #expect(try await world.end(of: "a").run.state == .succeeded)
            #expect(world.ledger.log == ["+x-1", "+x-1-2", "+x-3"])
            let code = await refusal {
                _ = try await world.operate { try await $0.start("linear", id: "a", input: "y") }
            }
            #expect(code == .conflict)
            let unknown = await refusal {
                _ = try await world.operate { try await $0.start("none", id: "b", input: "") }
            }
            #expect(unknown == .notFound)
            let long = String(repeating: "i", count: 201)
            let tooLong = await refusal {
                _ = try await world.operate { try await $0.start("linear", id: long, input: "") }
            }
            #expect(tooLong == .invalid)
        }
    }

    @Test("a hub that starts again takes each of its many runs up once")
    func manyOwnRuns() async throws {
        try await WorkflowWorld.run({ Sample.definitions($0) }) { world in
            for number in 0..<200 {
                let left = try NewRun(
                    id: "r\(number)", workflow: "linear", version: 1, input: .string("r\(number)"), seed: 1,
                    owner: "hub")
                #expect(try await world.store.start(left).isNew)
            }
            world.startHub()
            for number in 0..<200 {
                let run = try await world.end(of: "r\(number)").run
                #expect(run.state == .succeeded && run.fence == 2, "\(run)")
            }
        }
    }

    @Test("ended runs are kept as long as is said at the time")
    func retention() async throws {
        try await WorkflowWorld.run({ Sample.definitions($0) }) { world in
            world.startHub()
            try await world.operate { try await $0.start("retrying", id: "a", input: "x") }
            _ = try await world.end(of: "a")
            try await world.clock.sleep(for: .seconds(600))
            #expect(try await world.store.run("a") != nil)
            world.retention.withLock { $0 = .seconds(300) }
            try await world.clock.sleep(for: .seconds(90))
            #expect(try await world.store.run("a") == nil)
        }
    }

    @Test("retries with growing waits, and a final problem ends at once")
    func retries() async throws {
        try await WorkflowWorld.run({ Sample.definitions($0) }) { world in
            world.startHub()
            try await world.operate { try await $0.start("retrying", id: "a", input: "x") }
            let history = try await world.end(of: "a")
            let flaky = try #require(history.steps.first { $0.name == "flaky" })
            #expect(flaky.attempts == 3 && flaky.state == .succeeded)
            let took = try #require(flaky.finishedAt).since(flaky.startedAt)
            #expect(took >= .seconds(24 + 48) && took <= .seconds(30 + 60 + 5), "\(took)")
            try await world.operate { try await $0.start("failing", id: "b", input: "x") }
            let failed = try await world.end(of: "b")
            #expect(failed.steps.last?.attempts == 1 && failed.run.error?.code == .invalid)
            #expect(failed.steps.map(\.undo) == [.done, nil, .done, nil])
        }
    }

    @Test("undoes in reverse order, and repeats undoing that fails")
    func undoOrder() async throws {
        let failures = Mutex(2)
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    for name in ["a", "b", "c"] {
                        try await context.step(
                            name,
                            undo: { _ in
                                let fails =
                                    name == "b"
                                    && failures.withLock { left in
                                        left -= 1
                                        return left >= 0
                                    }
                                if fails { throw Problem(.unavailable, "Later.") }
                                try await world.remove(name)
                            }, { _ in try await world.make(name) })
                    }
                    try await context.step("refuse") { _ in throw Problem(.conflict, "No.") }
                    return Nothing()
                }
            ]
        }) { world in
            world.startHub()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            let history = try await world.end(of: "a")
            #expect(world.ledger.log == ["+a", "+b", "+c", "-c", "-b", "-a"])
            #expect(history.run.state == .failed && history.run.error?.code == .conflict)
            #expect(history.steps[1].undoAttempts == 3)
        }
    }

    @Test("a step that takes too long is stopped and tried again")
    func timeout() async throws {
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    try await context.step("slow", timeout: .seconds(5)) { attempt in
                        if attempt.number == 1 { try await world.clock.sleep(for: .seconds(1000)) }
                        return attempt.number
                    }
                }
            ]
        }) { world in
            world.startHub()
            let began = world.clock.now()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            let run = try await world.end(of: "a").run
            #expect(run.output == 2)
            #expect(run.updatedAt.since(began) < .seconds(20))
        }
    }

    @Test("a run that waits for long is out of memory, and comes back in time")
    func parking() async throws {
        try await WorkflowWorld.run({ Sample.definitions($0) }) { world in
            world.startHub()
            let began = world.clock.now()
            try await world.operate { try await $0.start("waiting", id: "a", input: "x") }
            try await world.clock.sleep(for: .seconds(100))
            let parked = try #require(try await world.store.history(of: "a"))
            #expect(parked.run.state == .waiting && parked.run.owner == nil)
            #expect(try await world.operate { $0.activeRuns } == 0)
            let end = try await world.end(of: "a").run
            let took = end.updatedAt.since(began)
            #expect(end.state == .succeeded && took >= .seconds(600) && took < .seconds(615), "\(took)")
        }
    }

    @Test("signals that came before the wait are not lost, and one with the same id counts once")
    func earlySignals() async throws {
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    try await context.sleep("first", for: .seconds(60))
                    var words: [String] = []
                    while let word: String = try await context.signal("word", timeout: .seconds(30)) {
                        words.append(word)
                    }
                    return words
                }
            ]
        }) { world in
            world.startHub()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            for (id, word) in [("1", "a"), ("2", "b"), ("1", "again")] {
                try await world.operate { try await $0.signal("a", "word", word, signalId: id) }
            }
            try await world.operate { try await $0.signal("a", "other", "x") }
            #expect(try await world.end(of: "a").run.output == ["a", "b"])
            let code = await refusal { _ = try await world.operate { try await $0.signal("a", "word", "late") } }
            #expect(code == .conflict)
            let none = await refusal { _ = try await world.operate { try await $0.signal("b", "word", "x") } }
            #expect(none == .notFound)
        }
    }

    @Test("branches are bounded, and their results are in order")
    func bounded() async throws {
        let running = Mutex((now: 0, most: 0))
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    try await context.parallel("many", Array(0..<20), limit: 3) { branch, number in
                        try await branch.step("work") { _ in
                            running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                            try await world.clock.sleep(for: .seconds(20 - number))
                            running.withLock { $0.now -= 1 }
                            return number
                        }
                    }
                }
            ]
        }) { world in
            world.startHub()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            let run = try await world.end(of: "a").run
            #expect(run.output == .array((0..<20).map { .int($0) }))
            #expect(running.withLock { $0.most } == 3)
        }
    }

    @Test("cancelling stops the step under way and undoes what was done")
    func cancelMidStep() async throws {
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    try await context.step(
                        "a", undo: { _ in try await world.remove("a") },
                        { _ in
                            try await world.make("a")
                        })
                    try await context.step("endless", timeout: .seconds(10_000)) { _ in
                        try await world.clock.sleep(for: .seconds(9000))
                    }
                    return Nothing()
                }
            ]
        }) { world in
            world.startHub()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            try await world.clock.sleep(for: .seconds(2))
            try await world.operate { try await $0.cancel("a") }
            let run = try await world.end(of: "a").run
            #expect(run.state == .cancelled && run.error?.code == .cancelled && world.ledger.standing.isEmpty)
            #expect(run.updatedAt.since(run.createdAt) < .seconds(10))
            let code = await refusal { _ = try await world.operate { try await $0.cancel("a") } }
            #expect(code == .conflict)
        }
    }

    @Test("a failed run goes on from the step that failed; what was undone is done again")
    func retryFailed() async throws {
        let isBroken = Mutex(true)
        try await WorkflowWorld.run({ world in
            [FailurePolicy.undo, .wait].map { policy in
                WorkflowDefinition("\(policy)", onFailure: policy) { (context, _: Nothing) in
                    let key = try await context.step(
                        "first", undo: { _, _ in try await world.remove("1") },
                        { attempt in
                            try await world.make("1")
                            return attempt.key
                        })
                    try await context.step("second") { _ in
                        if isBroken.withLock({ $0 }) { throw Problem(.invalid, "Broken.") }
                        try await world.make("2")
                    }
                    return key
                }
            }
        }) { world in
            world.startHub()
            for (policy, state, log, key) in [
                ("undo", RunState.failed, ["+1", "-1", "+1", "+2"], "undo/1/1"),
                ("wait", .stalled, ["+1", "+2"], "wait/1/0"),
            ] {
                isBroken.withLock { $0 = true }
                let before = world.ledger.log.count
                try await world.operate { try await $0.start(policy, id: policy, input: Nothing()) }
                #expect(try await world.end(of: policy).run.state == state)
                isBroken.withLock { $0 = false }
                try await world.operate { try await $0.retry(policy) }
                while try await world.end(of: policy).run.state == state {
                    try await world.clock.sleep(for: .seconds(1))
                }
                let run = try await world.end(of: policy).run
                #expect(run.state == .succeeded && run.output == .string(key), "\(run)")
                #expect(Array(world.ledger.log[before...]) == log)
                let code = await refusal { _ = try await world.operate { try await $0.retry(policy) } }
                #expect(code == .conflict)
            }
        }
    }

    private typealias FailurePolicy = WorkflowDefinition.FailurePolicy

    @Test("time and random numbers of the context are the same when the program is run again")
    func determinism() async throws {
        let seen = Mutex<[[String]]>([])
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    let words = ["\(context.now)", context.random("a").hex(8), context.random("b").hex(8)]
                    seen.withLock { $0.append(words) }
                    try await context.sleep("long", for: .seconds(600))
                    return words + ["\(context.now)"]
                }
            ]
        }) { world in
            world.startHub()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            _ = try await world.end(of: "a")
            let all = seen.withLock { $0 }
            #expect(all.count == 2 && all[0] == all[1] && all[0][1] != all[0][2])
        }
    }

    @Test("a hub whose store was away for longer than its lease goes on with what it had")
    func outage() async throws {
        let definitions = { @Sendable (world: WorkflowWorld) in
            [
                WorkflowDefinition("slow") { (context: WorkflowContext, _: String) async throws -> String in
                    try await context.step("wait") { _ in try await world.clock.sleep(for: .seconds(40)) }
                    try await context.step("make") { _ in try await world.make("x") }
                    return "done"
                }
            ]
        }
        try await WorkflowWorld.run(definitions) { world in
            let power = WriteCut()
            let hub = world.engine("hub", CuttingJournal(inner: world.store, power: power))
            let task = Task(executorPreference: world.clock) { await hub.run() }
            try await hub.start("slow", id: "r", input: "x")
            try await world.clock.sleep(for: .seconds(2))
            power.cut()
            try await world.clock.sleep(for: .seconds(25))
            power.restore()
            try await world.clock.sleep(for: .seconds(120))
            let run = try await world.store.run("r")
            #expect(run?.state == .succeeded)
            #expect(world.ledger.log == ["+x"])
            task.cancel()
            await task.value
        }
    }

    @Test("two hubs share the work, and none runs a run that the other holds")
    func twoHubs() async throws {
        try await WorkflowWorld.run({ Sample.definitions($0) }) { world in
            let hubs = ["one", "two"].map { world.engine($0, world.store) }
            let tasks = hubs.map { hub in Task(executorPreference: world.clock) { await hub.run() } }
            for number in 0..<40 {
                try await hubs[number % 2].start("waiting", id: "r\(number)", input: "x\(number)")
            }
            for number in 0..<40 { #expect(try await world.end(of: "r\(number)").run.state == .succeeded) }
            #expect(Set(world.ledger.log).count == 80 && world.ledger.log.count == 80)
            for task in tasks { task.cancel() }
            for task in tasks { await task.value }
        }
    }
}
