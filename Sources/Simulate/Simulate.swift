import Glibc
import Host
import Model
import TestSupport

/// `roost-simulate`: fleets on virtual time, and the walk over all power cuts.
@main
struct Simulate {
    private static let usage = """
        usage: roost-simulate [--seeds COUNT] [--first SEED] [--nodes COUNT]   fleets in bad weather
               roost-simulate --seed SEED [--nodes COUNT]                      replay one
               roost-simulate --replay SEED [--nodes COUNT]                    run one twice, and compare
               roost-simulate --walk                                           cut the power everywhere
        """

    private enum Work {
        case fleets(ClosedRange<UInt64>)
        case replay(UInt64)
        case walk
    }

    static func main() async {
        hashAlike()
        var first: UInt64 = 1
        var work: Work?
        var count: UInt64 = 20
        var scenario = FleetScenario()
        var words = CommandLine.arguments.dropFirst()[...]
        while let option = words.popFirst() {
            if option == "--walk" {
                work = .walk
                continue
            }
            guard let value = words.popFirst().flatMap({ UInt64($0) }), value > 0 else { fail(usage) }
            switch option {
            case "--seed": work = .fleets(value...value)
            case "--replay": work = .replay(value)
            case "--seeds": count = value
            case "--first": first = value
            case "--nodes": scenario.nodes = Int(value)
            default: fail(usage)
            }
        }
        switch work ?? .fleets(first...first + count - 1) {
        case .fleets(let seeds): await runFleets(seeds, scenario)
        case .replay(let seed): await replay(seed, scenario)
        case .walk: await walk()
        }
    }

    /// The order of dictionaries must be a function of the seed too: the runtime reads this variable at its start.
    private static func hashAlike() {
        guard getenv("SWIFT_DETERMINISTIC_HASHING") == nil else { return }
        setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
        var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
        execv("/proc/self/exe", &arguments)
        fail("roost-simulate could not start itself anew.")
    }

    private static func fail(_ text: String) -> Never {
        print(text)
        exit(64)
    }

    private static func finish(_ passed: Int, _ failed: Int) -> Never {
        print("\(passed) passed, \(failed) failed")
        exit(failed == 0 ? 0 : 1)
    }

    private static func runFleets(_ seeds: ClosedRange<UInt64>, _ scenario: FleetScenario) async {
        var failed = 0
        var exchanges = 0
        var agents = 0
        var deaths = (hub: 0, agent: 0)
        let clock = ContinuousClock()
        let began = clock.now
        for seed in seeds {
            let outcome = await scenario.run(seed: seed)
            exchanges += outcome.exchanges
            agents += scenario.nodeCount(seed: seed)
            deaths.hub += outcome.hubDeaths
            deaths.agent += outcome.agentDeaths
            guard !outcome.violations.isEmpty else { continue }
            failed += 1
            print(
                "seed \(seed) failed; replay with: roost-simulate --seed \(seed) "
                    + "--nodes \(scenario.nodeCount(seed: seed))"
            )
            for violation in outcome.violations.prefix(10) { print("  \(violation)") }
            fflush(nil)
        }
        let seconds = (clock.now - began).milliseconds / 1000
        print(
            "\(seeds.count) seeds, \(agents) agents: \(exchanges) requests, \(deaths.hub) hub and "
                + "\(deaths.agent) agent deaths, \(seconds) s")
        finish(seeds.count - failed, failed)
    }

    private static func replay(_ seed: UInt64, _ scenario: FleetScenario) async {
        let (first, second) = (await scenario.run(seed: seed), await scenario.run(seed: seed))
        let isSame = first.trace == second.trace && first.violations == second.violations
        print("seed \(seed): traces \(first.trace) and \(second.trace) over \(first.exchanges) requests")
        finish(isSame ? 1 : 0, isSame ? 0 : 1)
    }

    private static func walk() async {
        var passed = 0
        var failed = 0
        for story in CrashWalk.Story.allCases {
            do {
                let life = try await CrashWalk.live(story, .nothing)
                let cuts = CrashWalk.cuts(in: life)
                var other = 0
                for cut in cuts where await endsOtherwise(story, cut, life) { other += 1 }
                failed += other
                passed += cuts.count - other
                print(
                    "\(story.rawValue): \(life.effects.count) effects of the agent and \(life.hubWrites) writes of the "
                        + "hub, each cut on both sides")
            } catch {
                fail("The undisturbed life ended with \(error).")
            }
        }
        finish(passed, failed)
    }

    private static func endsOtherwise(_ story: CrashWalk.Story, _ cut: CrashWalk.Cut, _ life: CrashWalk.Life) async
        -> Bool
    {
        let found: String
        do {
            let end = try await CrashWalk.live(story, cut).end
            if end == life.end { return false }
            found = "\(end)"
        } catch {
            found = "a life that could not go on: \(error)"
        }
        print("\(story.rawValue): another end after a power cut at \(cut), effect \(label(cut, life))")
        print("  expected \(life.end)\n  found    \(found)")
        fflush(nil)
        return true
    }

    private static func label(_ cut: CrashWalk.Cut, _ life: CrashWalk.Life) -> String {
        if case .agent(let number, _) = cut { life.effects[number].text } else { "store write" }
    }
}
