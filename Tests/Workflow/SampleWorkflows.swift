import HubWorkflows
import Model
import TestSupport
import Workflow

/// Workflows that use all there is, and what an operator does meanwhile.
enum Sample: String, CaseIterable, Sendable {
    case linear, failing, retrying, parallel, parallelFailing, waiting, signalled, cancelled, grouped

    static func definitions(_ world: WorkflowWorld) -> [WorkflowDefinition] {
        allCases.map { $0.definition(world) }
    }

    private func definition(_ world: WorkflowWorld) -> WorkflowDefinition {
        WorkflowDefinition(rawValue) { context, input in try await body(context, input, world) }
    }

    private func body(_ context: WorkflowContext, _ name: String, _ world: WorkflowWorld) async throws -> String {
        switch self {
        case .linear: return try await Self.linear(context, name, world)
        case .failing:
            let text = try await Self.linear(context, name, world)
            try await context.step("refuse") { _ in throw Problem(.invalid, "It does not like \(text).") }
        case .retrying:
            try await Self.make("\(name)-first", context, world)
            try await context.step("flaky", retry: RetryPolicy(attemptsMax: 4, delay: .seconds(30))) { attempt in
                guard attempt.number > 2 else { throw Problem(.unavailable, "Not yet.") }
                try await world.make("\(name)-flaky")
            }
        case .parallel: return try await Self.parallel(context, name, world, failing: nil)
        case .parallelFailing: return try await Self.parallel(context, name, world, failing: 2)
        case .waiting:
            try await Self.make("\(name)-before", context, world)
            try await context.sleep("ten minutes", for: .seconds(600))
            try await Self.make("\(name)-after", context, world)
        case .signalled:
            let word: String? = try await context.signal("approve")
            try await Self.make("\(name)-\(word ?? "none")", context, world)
            let none: String? = try await context.signal("never", timeout: .seconds(600))
            try await Self.make("\(name)-\(none ?? "late")", context, world)
        case .cancelled:
            try await Self.make("\(name)-before", context, world)
            try await context.onUndo("sweep") { _ in try await world.make("\(name)-swept") }
            try await context.sleep("a long time", for: .seconds(86_400))
            try await Self.make("\(name)-after", context, world)
        case .grouped:
            let both = try await context.group("outer") { outer in
                let first = try await outer.group("inner") { inner in try await Self.linear(inner, name, world) }
                try await Self.make("\(name)-last", outer, world)
                return first
            }
            try await context.step("refuse") { _ in throw Problem(.invalid, "No \(both).") }
        }
        return "done"
    }

    private static func make(_ name: String, _ context: WorkflowContext, _ world: WorkflowWorld) async throws {
        try await context.step(
            "make", undo: { _ in try await world.remove(name) }, { _ in try await world.make(name) })
    }

    private static func linear(
        _ context: WorkflowContext, _ name: String, _ world: WorkflowWorld
    ) async throws -> String {
        let first = try await context.step(
            "first", undo: { value, _ in try await world.remove(value) },
            { _ in
                try await world.make("\(name)-1")
                return "\(name)-1"
            })
        try await context.step("second") { _ in try await world.make("\(first)-2") }
        return try await context.step(
            "third", undo: { (value: String, _) in try await world.remove(value) },
            { _ in
                try await world.make("\(name)-3")
                return "\(name)-3"
            })
    }

    private static func parallel(
        _ context: WorkflowContext, _ name: String, _ world: WorkflowWorld, failing: Int?
    ) async throws -> String {
        let numbers = try await context.parallel("copies", Array(1...4), limit: 2) { branch, number in
            try await make("\(name)-\(number)a", branch, world)
            if number == failing {
                try await branch.step("refuse") { _ in throw Problem(.conflict, "Not \(number).") }
            }
            try await make("\(name)-\(number)b", branch, world)
            return number * number
        }
        try await make("\(name)-end", context, world)
        return numbers.map(String.init).joined(separator: ",")
    }

    /// What the operator does with the run.
    func operate(_ id: String, _ world: WorkflowWorld) async throws {
        switch self {
        case .signalled:
            try await world.operate { try await $0.signal(id, "approve", "yes", signalId: "one") }
            try await world.operate { try await $0.signal(id, "approve", "yes", signalId: "one") }
        case .cancelled:
            try await world.clock.sleep(for: .seconds(60))
            try await world.operate { engine in
                do {
                    try await engine.cancel(id)
                } catch let problem as Problem where problem.code == .conflict {
                    // The hub that died had taken the wish, and the one after it has fulfilled it already.
                }
            }
        default: break
        }
    }

    /// State, output or problem, and what is left standing.
    var expected: (RunState, JSONValue?, [String]) {
        switch self {
        case .linear: (.succeeded, "x-3", ["x-1", "x-1-2", "x-3"])
        case .failing: (.failed, nil, ["x-1-2"])
        case .retrying: (.succeeded, "done", ["x-first", "x-flaky"])
        case .parallel:
            (
                .succeeded, "1,4,9,16",
                ["x-1a", "x-1b", "x-2a", "x-2b", "x-3a", "x-3b", "x-4a", "x-4b", "x-end"]
            )
        case .parallelFailing: (.failed, nil, [])
        case .waiting: (.succeeded, "done", ["x-after", "x-before"])
        case .signalled: (.succeeded, "done", ["x-late", "x-yes"])
        case .cancelled: (.cancelled, nil, ["x-swept"])
        case .grouped: (.failed, nil, ["x-1-2"])
        }
    }
}
