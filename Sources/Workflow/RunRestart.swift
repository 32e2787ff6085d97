/// What becomes of the journal when a failed or stalled run is tried again.
package struct RunRestart: Sendable, Equatable {
    /// Lines from this number on are dropped: what was undone, what came after it, and what failed.
    package var firstSequenceToRepeat: Int?
    /// The state in which it goes on.
    package var state: RunState
    package var round: Int

    package init(_ history: RunHistory) {
        round = history.run.round
        if history.run.state == .stalled, history.steps.contains(where: { $0.undo == .failed }) {
            // Half undone: the undoing goes on.
            state = .undoing
            return
        }
        state = .pending
        // A failure that the program caught came before the one that it failed with.
        let failed = history.steps.filter { $0.state == .failed }.map(\.sequence).max()
        let undone = history.steps.filter { $0.undo == .done }.map(\.sequence).min()
        firstSequenceToRepeat = [failed, undone].compactMap { $0 }.min()
        if undone != nil { round += 1 }
    }
}
