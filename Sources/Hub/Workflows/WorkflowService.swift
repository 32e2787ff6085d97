import Host
import Logging
import Model
import Synchronization
import Workflow

/// The loops of an engine.
extension WorkflowEngine {
    /// Works on runs until the task is cancelled. What it leaves unfinished is in the journal.
    public func run() async {
        defer { state.withLock { $0.isServing = false } }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.executeClaimed() }
            group.addTask { await self.claimDue() }
            group.addTask { await self.keepLease() }
            group.addTask { await self.removeOld() }
            await group.waitForAll()
        }
    }

    func take(_ history: RunHistory) {
        guard let definition = definitions[history.run.workflow]?[history.run.version] else { return }
        let execution = RunExecution(
            definition, history,
            .init(journal: journal, clock: clock, random: random, parkAfter: options.parkAfter))
        state.withLock { $0.executions[history.run.id] = execution }
        claimed.yield(history)
    }

    private func executeClaimed() async {
        await withDiscardingTaskGroup { group in
            for await history in claims {
                guard let execution = state.withLock({ $0.executions[history.run.id] }) else { continue }
                group.addTask { await self.execute(execution, history.run.id) }
            }
            group.cancelAll()
        }
    }

    private func execute(_ execution: RunExecution, _ id: String) async {
        let outcome = await execution.execute()
        state.withLock { state in
            if state.executions[id] === execution { state.executions[id] = nil }
            switch outcome {
            // What was lost for want of a lease may have found no other hub; what one has it keeps.
            case .stopped, .lost: if state.isServing { state.dropped.append(execution) }
            case .ended, .parked: break
            }
        }
        switch outcome {
        case .ended(let run):
            if run.state == .stalled { logger.warning("a workflow stalled", metadata: ["run": "\(id)"]) }
            tellWaiters(of: id, run)
        case .stopped(let error) where !Task.isCancelled:
            logger.warning("a workflow could not go on here", metadata: ["run": "\(id)", "error": "\(error)"])
        case .lost: logger.warning("a workflow was lost here", metadata: ["run": "\(id)"])
        case .parked, .stopped: break
        }
        if case .ended = outcome {} else { tellWaiters(of: id, nil) }
        alarm.notify()
    }

    /// Takes what is due whenever there is room for it.
    private func claimDue() async {
        var takesOwn = true
        while !Task.isCancelled {
            var isFull = false
            do {
                let free = options.runsMax - state.withLock { $0.executions.count }
                let limit = min(free, 64)
                if limit > 0 {
                    let request = ClaimRequest(
                        lease: lease, workflows: definitions.mapValues { Set($0.keys) }, limit: limit,
                        takesOwn: takesOwn, holding: state.withLock { Set($0.executions.keys) })
                    let found = try await journal.claim(request)
                    for history in found { take(history) }
                    isFull = found.count == limit
                    if !isFull { takesOwn = false }
                    // From now on there is a lease, and new runs need not wait for a claim. Before, one that is new
                    // would look like one that was left.
                    if !takesOwn { state.withLock { $0.isServing = true } }
                }
            } catch {
                if !Task.isCancelled {
                    logger.warning("due workflows could not be read", metadata: ["error": "\(error)"])
                }
            }
            if !isFull { await alarm.wait(atMost: options.pollInterval, clock) }
        }
    }

    private var lease: HubLease { HubLease(hub: options.hub, duration: options.lease) }

    /// Renews the lease in time, and passes on the mail that came in by other hubs.
    private func keepLease() async {
        var renewed = clock.monotonic()
        while !Task.isCancelled {
            // A cancelled sleep ends the loop at its head.
            try? await clock.sleep(for: min(options.lease / 3, options.pollInterval * 2))
            if Task.isCancelled { return }
            do {
                let began = clock.monotonic()
                let mail = try await journal.renew(lease)
                renewed = began
                let executions = state.withLock { $0.executions }
                for (id, mail) in mail { executions[id]?.deliver(mail) }
                try await letGoOfDropped()
            } catch {
                logger.warning("the lease could not be renewed", metadata: ["error": "\(error)"])
                guard clock.monotonic() - renewed > options.lease else { continue }
                // Others may have them by now. The journal would refuse their writes; this stops their effects, too.
                for execution in state.withLock({ $0.executions.values.map { $0 } }) { execution.lose() }
            }
        }
    }

    private func letGoOfDropped() async throws {
        for execution in state.withLock({ $0.dropped }) {
            try await execution.letGo()
            state.withLock { state in state.dropped.removeAll { $0 === execution } }
        }
    }

    private func removeOld() async {
        while !Task.isCancelled {
            do {
                let before = clock.now().advanced(by: .zero - (try await options.retention()))
                while try await journal.removeEnded(before: before, limit: 500) == 500 {}
            } catch {
                logger.warning("ended workflows could not be removed", metadata: ["error": "\(error)"])
            }
            // A cancelled sleep ends the loop at its head.
            try? await clock.sleep(for: .seconds(60))
        }
    }
}
