import TestSupport
import Testing

@Suite struct FleetScenarioTests {
    /// A taste in the debug build; `make sim` runs a thousand and more in a release build.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `a fleet in bad weather ends as declared`(seed: UInt64) async {
        let outcome = await FleetScenario(nodes: 5, services: 3, changes: 8).run(seed: seed)
        #expect(outcome.violations == [])
        #expect(outcome.exchanges > 0)
    }
}
