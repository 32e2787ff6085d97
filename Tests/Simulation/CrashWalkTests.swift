import Host
import TestSupport
import Testing

/// The whole walk is `roost-simulate --walk`, in a release build; here is the life itself and a part of the walk.
@Suite struct CrashWalkTests {
    @Test func `an undisturbed life ends as declared`() async throws {
        let life = try await CrashWalk.live(.together, .nothing)
        #expect(life.end.violations == [])
        #expect(life.end.units.filter { $0.hasPrefix("app.web.") }.count == 1)
        #expect(life.end.units.filter { $0.hasPrefix("app.fixed.") }.count == 1)
        #expect(life.end.units.count == 3)
        #expect(life.end.endpointCounts == ["web": 1, "fixed": 1])
        let expected: Set<String> = ["git.fetch", "build.start", "unit.start", "edge.apply", "unit.stop"]
        #expect(Set(life.effects.map(\.text)).isSuperset(of: expected))
    }

    @Test(arguments: CrashWalk.Story.allCases)
    func `power cuts do not change the end`(story: CrashWalk.Story) async throws {
        let life = try await CrashWalk.live(story, .nothing)
        #expect(life.end.violations == [])
        let cuts = CrashWalk.cuts(in: life)
        for index in stride(from: 0, to: cuts.count, by: 25) {
            #expect(try await CrashWalk.live(story, cuts[index]).end == life.end, "cut: \(cuts[index])")
        }
    }

    @Test func `a service that is alone is never stopped before requests go elsewhere`() async throws {
        let life = try await CrashWalk.live(.alone, .nothing)
        let switches = life.effects.indices.filter {
            ["service.serving.remember", "service.hold.remember", "service.sleep.remember"]
                .contains(life.effects[$0].text)
        }
        #expect(switches.count >= 8)
        for number in switches {
            #expect(try await CrashWalk.live(.alone, .agent(number, .after)).end == life.end, "\(life.effects[number])")
        }
    }
}
