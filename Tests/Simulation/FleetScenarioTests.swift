import TestSupport
import Testing

@Suite struct FleetScenarioTests {
    /// A taste in the debug build; `make sim` runs a thousand and more in a release build.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `a fleet in bad weather ends as declared`(seed: UInt64) {
        let outcome = FleetScenario(nodes: 5, services: 3, changes: 8).run(seed: seed)
        #expect(outcome.violations == [])
        #expect(outcome.exchanges > 0)
    }

    @Test func `a seed replays exactly`() {
        let scenario = FleetScenario(nodes: 3, services: 2, changes: 6)
        let (first, second) = (scenario.run(seed: 42), scenario.run(seed: 42))
        #expect(first.exchanges == second.exchanges)
        #expect(first.agentDeaths == second.agentDeaths)
        #expect(first.violations == second.violations)
    }
}
