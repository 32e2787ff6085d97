import Glibc
import Model
import TestSupport


/// `roost-simulate [--seed N] [--seeds COUNT] [--first N] [--nodes N]`: runs fleets on virtual time; a seed that fails is
/// printed with all it violated, and `--seed` replays it.
@main
struct Simulate {
    static func main() {
        var first: UInt64 = 1
        var count: UInt64 = 20
        var scenario = FleetScenario()
        var words = CommandLine.arguments.dropFirst()[...]
        while let option = words.popFirst() {
            guard let value = words.popFirst().flatMap({ UInt64($0) }) else { usage() }
            switch option {
            case "--seed": (first, count) = (value, 1)
            case "--seeds": count = value
            case "--first": first = value
            case "--nodes": scenario.nodes = Int(value)
            default: usage()
            }
        }
        var failed = 0
        var exchanges = 0
        var deaths = (hub: 0, agent: 0)
        let clock = ContinuousClock()
        let began = clock.now
        for seed in first..<first + count {
            let outcome = scenario.run(seed: seed)
            exchanges += outcome.exchanges
            deaths.hub += outcome.hubDeaths
            deaths.agent += outcome.agentDeaths
            guard !outcome.violations.isEmpty else { continue }
            failed += 1
            print("seed \(seed) failed; replay with: roost-simulate --seed \(seed) --nodes \(scenario.nodes)")
            for violation in outcome.violations.prefix(10) { print("  \(violation)") }
        }
        let seconds = (clock.now - began).milliseconds / 1000
        print(
            "\(count) seeds, \(scenario.nodes) agents each: \(exchanges) requests, \(deaths.hub) hub and \(deaths.agent) "
                + "agent deaths, \(seconds) s")
        print("\(Int(count) - failed) passed, \(failed) failed")
        exit(failed == 0 ? 0 : 1)
    }

    static func usage() -> Never {
        print("usage: roost-simulate [--seed N] [--seeds COUNT] [--first N] [--nodes N]")
        exit(64)
    }
}
