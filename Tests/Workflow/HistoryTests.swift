import HubStore
import HubWorkflows
import Model
import TestSupport
import Testing
import Workflow

/// Journals against programs that have changed.
@Suite("Histories")
struct HistoryTests {
    /// A journal as a run of `greet` left it, kept as text: what is in databases out there.
    private static let stored = """
        {"id":"g","workflow":"greet","version":1,"state":"succeeded","input":"Ada",
        "created_at":"2026-01-01T00:00:00.000Z",
        "seed":5,"steps":[
        {"path":"1","sequence":1,"kind":"step","name":"look up","state":"succeeded","attempts":2,"result":"Ada L.",
        "started_at":"2026-01-01T00:00:00.000Z"},
        {"path":"2","sequence":4,"kind":"parallel","name":"both","state":"succeeded","result":2,
        "started_at":"2026-01-01T00:00:01.000Z"},
        {"path":"2.1.1","sequence":2,"kind":"step","name":"send","state":"succeeded","result":null,
        "started_at":"2026-01-01T00:00:01.000Z"},
        {"path":"2.2.1","sequence":3,"kind":"step","name":"send","state":"succeeded","result":null,
        "started_at":"2026-01-01T00:00:01.000Z"}]}
        """

    private func greet(
        lookUp: String = "look up", group: String = "both", branches: Int = 2, extra: Bool = false, omit: Bool = false
    ) -> WorkflowDefinition {
        WorkflowDefinition("greet") { (context, name: String) in
            let full = try await context.step(lookUp) { _ in "never run" }
            guard full.hasPrefix(name) else { throw Problem(.invalid, "The journal was not used.") }
            if omit { return full }
            _ = try await context.parallel(group, Array(0..<branches)) { branch, _ in
                try await branch.step("send") { _ in }
                return Nothing()
            }
            if extra { try await context.step("extra") { _ in } }
            return full
        }
    }

    private func code(_ definition: WorkflowDefinition) async throws -> Problem.Code? {
        let history = try RunHistory(json: try JSONParser.parse(Self.stored))
        do {
            try await HistoryCheck.replay(history, with: definition)
            return nil
        } catch let problem as Problem {
            return problem.code
        }
    }

    @Test("the program of today goes the way of the stored journal")
    func unchanged() async throws {
        #expect(try await code(greet()) == nil)
        // New steps at the end do not contradict what is there.
        #expect(try await code(greet(extra: true)) == nil)
    }

    @Test("a renamed step, another group, more branches, a missing step are found out")
    func changed() async throws {
        #expect(try await code(greet(lookUp: "find")) == .historyChanged)
        #expect(try await code(greet(group: "all")) == .historyChanged)
        #expect(try await code(greet(branches: 3)) == .historyChanged)
        #expect(try await code(greet(omit: true)) == .historyChanged)
    }

    @Test("every line of a written history can be read again")
    func roundTrip() async throws {
        let history = try RunHistory(json: try JSONParser.parse(Self.stored))
        let again = try RunHistory(json: history.json)
        #expect(again == history)
    }

    @Test("a run whose program has changed stalls, does nothing, and can be abandoned")
    func stalls() async throws {
        let isChanged = Flag()
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    try await context.step(isChanged.value ? "new" : "old") { _ in try await world.make("a") }
                    try await context.sleep("long", for: .seconds(600))
                    try await context.step("end") { _ in try await world.make("b") }
                    return Nothing()
                }
            ]
        }) { world in
            world.startHub()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            try await world.clock.sleep(for: .seconds(60))
            isChanged.set()
            let run = try await world.end(of: "a").run
            #expect(run.state == .stalled && run.error?.code == .historyChanged)
            #expect(world.ledger.log == ["+a"])
            try await world.operate { try await $0.abandon("a") }
            #expect(try await world.end(of: "a").run.state == .cancelled)
        }
    }

    @Test("two steps of one scope at once are refused")
    func concurrentSteps() async throws {
        try await WorkflowWorld.run({ world in
            [
                WorkflowDefinition("w") { (context, _: Nothing) in
                    async let first: Void = context.step("a") { _ in try await world.clock.sleep(for: .seconds(1)) }
                    async let second: Void = context.step("b") { _ in try await world.clock.sleep(for: .seconds(1)) }
                    _ = try await (first, second)
                    return Nothing()
                }
            ]
        }) { world in
            world.startHub()
            try await world.operate { try await $0.start("w", id: "a", input: Nothing()) }
            let run = try await world.end(of: "a").run
            #expect(run.state == .stalled && run.error?.code == .historyChanged)
        }
    }
}
