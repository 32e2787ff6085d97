import HubWorkflows
import Model
import TestSupport
import Testing
import Workflow

/// Every sample workflow, with the power cut before and after every journal write and every effect.
@Suite("Power cuts in workflows")
struct WorkflowCrashTests {
    private struct Life {
        var history: RunHistory
        var standing: [String]
        var log: [String]
        var writes: Int
        var effects: Int
        var lives: Int
    }

    private func live(_ sample: Sample, _ cut: WorkflowWorld.Cut, isTakenOver: Bool = false) async throws -> Life {
        try await WorkflowWorld.run(isTakenOver: isTakenOver, { Sample.definitions($0) }) { world in
            world.startHub(cut)
            try await world.operate { try await $0.start(sample.rawValue, id: "run", input: "x") }
            try await sample.operate("run", world)
            let history = try await world.end(of: "run")
            return Life(
                history: history, standing: world.ledger.standing, log: world.ledger.log, writes: world.writes,
                effects: world.effects, lives: world.lives)
        }
    }

    private func check(_ life: Life, _ sample: Sample, _ cut: WorkflowWorld.Cut) {
        let (state, output, standing) = sample.expected
        #expect(life.history.run.state == state, "\(cut): \(life.history.run)")
        #expect(life.history.run.output == output, "\(cut)")
        #expect(life.history.run.owner == nil && life.history.run.wakeAt == nil, "\(cut)")
        if sample != .parallelFailing {
            #expect(life.standing == standing, "\(cut)")
        } else {
            // Branches that were stopped in the middle of a step may have left that one step.
            #expect(life.standing.count <= 1, "\(cut): \(life.standing)")
        }
        // One cut repeats at most the one effect whose line was not written.
        let repeated = Dictionary(life.log.map { ($0, 1) }, uniquingKeysWith: +).filter { $0.value > 1 }
        #expect(repeated.count <= 2 && repeated.values.allSatisfy { $0 == 2 }, "\(cut): \(repeated)")
    }

    @Test("ends the same wherever the power is cut", arguments: Sample.allCases, [false, true])
    func walk(_ sample: Sample, _ isTakenOver: Bool) async throws {
        let undisturbed = try await live(sample, .nothing)
        check(undisturbed, sample, .nothing)
        #expect(undisturbed.lives == 1)
        var cuts: [WorkflowWorld.Cut] = []
        for moment in [CuttingGate.Moment.before, .after] {
            cuts += (0..<undisturbed.writes).map { .write($0, moment) }
            cuts += (0..<undisturbed.effects).map { .effect($0, moment) }
        }
        for cut in cuts {
            let life = try await live(sample, cut, isTakenOver: isTakenOver)
            // After the last write there is nothing left for another hub.
            let isLast = cut == .write(undisturbed.writes - 1, .after)
            #expect(life.lives == 2 || isLast, "\(cut) was not reached")
            check(life, sample, cut)
        }
    }
}
