import Glibc
import Host
import HubStore
import HubWorkflows
import LinuxHost
import Logging
import Model
import Workflow

/// Starts five-step workflows, each worker the next when its last has ended, and prints how many and how long, as JSON.
///
///     workflow-bench STORE WORKERS SECONDS
///
/// STORE is the path of a SQLite file or a postgres:// URL.
@main
struct WorkflowBench {
    static let fiveSteps = WorkflowDefinition("five") { (context, input: Int) in
        var sum = input
        for number in 1...5 { sum = try await context.step("step \(number)") { [sum] _ in sum + number } }
        return sum
    }

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let workers = Int(arguments[2]), let seconds = Int(arguments[3]) else {
            print("usage: workflow-bench STORE WORKERS SECONDS")
            exit(2)
        }
        let (clock, random) = (LiveClock(), LiveRandom())
        let journal: any WorkflowJournal =
            arguments[1].hasPrefix("postgres")
            ? try PostgresStore(
                address: PostgresAddress(arguments[1]), kinds: [], clock: clock, random: random)
            : try SQLiteStore(path: arguments[1], kinds: [], clock: clock, random: random)
        let engine = WorkflowEngine(
            journal: journal, definitions: [fiveSteps], options: .init(hub: "bench"), clock: clock, random: random,
            logger: Logger(label: "bench"))
        let service = Task { await engine.run() }
        // The first second warms up: connections, statements, files.
        _ = try await measure(engine, workers, .seconds(1), clock)
        let took = try await measure(engine, workers, .seconds(seconds), clock)
        service.cancel()
        await service.value
        let sorted = took.sorted()
        func percentile(_ part: Double) -> JSONValue {
            .double(Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))].milliseconds10) / 10)
        }
        let answer: JSONValue = [
            "per_second": .int(Int64(sorted.count / seconds)), "p50_ms": percentile(0.5), "p99_ms": percentile(0.99),
        ]
        print(answer.canonicalText)
    }

    static func measure(
        _ engine: WorkflowEngine, _ workers: Int, _ duration: Duration, _ clock: LiveClock
    ) async throws -> [Duration] {
        let end = clock.monotonic() + duration
        return try await withThrowingTaskGroup(of: [Duration].self) { group in
            for _ in 0..<workers {
                group.addTask {
                    var took: [Duration] = []
                    while clock.monotonic() < end {
                        let began = clock.monotonic()
                        let id = LiveRandom().hex(12)
                        try await engine.start("five", id: id, input: 1)
                        let run = try await engine.end(of: id, timeout: .seconds(30))
                        guard run.output == 16 else { throw Problem(.internalError, "The run gave \(run).") }
                        took.append(clock.monotonic() - began)
                    }
                    return took
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}

extension Duration {
    /// Tenths of a millisecond.
    fileprivate var milliseconds10: Int64 {
        components.seconds * 10_000 + components.attoseconds / 100_000_000_000_000
    }
}
