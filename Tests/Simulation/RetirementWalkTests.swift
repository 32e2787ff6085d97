import TestSupport
import Testing

@Suite struct RetirementWalkTests {
    @Test func `a retired server runs nothing and is known no more`() async throws {
        let life = try await RetirementWalk.live(.nothing)
        #expect(life.end.violations == [])
        #expect(!life.end.units.contains { $0.hasPrefix("app.") })
        #expect(life.end.nodes == 0)
        #expect(life.end.runs == ["retire-server succeeded"])
        #expect(life.end.removals == 1)
        #expect(!life.hubWrites.isEmpty)
        #expect(!life.effects.isEmpty)
    }

    @Test func `power cuts at every write and effect do not change the end`() async throws {
        let life = try await RetirementWalk.live(.nothing)
        for cut in RetirementWalk.cuts(in: life) {
            let end = try await RetirementWalk.live(cut).end
            #expect(end == life.end, "cut: \(cut)")
        }
    }
}
