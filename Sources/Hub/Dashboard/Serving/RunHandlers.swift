import HubCore
import HubStore
import Model
import ResourceKit
import Workflow

/// Runs of workflows, live step by step.
extension DashboardSite {
    private static let runsMax = 50

    func mayReadRuns(_ visit: Visit) -> Bool {
        visit.principal.may("read", Hub.runsPlural) && visit.principal.brands == .all
    }

    func runs(_ visit: Visit) async throws -> PageAnswer {
        let status = visit.asked("status").flatMap { RunState(rawValue: $0) }
        let filter = RunFilter(
            workflow: visit.asked("workflow"), states: status.map { [$0] },
            before: try visit.query.line("cursor").map(RunJSON.place), limit: Self.runsMax)
        let runs = try await hub.workflowRuns(filter, as: visit.principal)
        let next = runs.count == Self.runsMax ? runs.last.map(RunJSON.cursor) : nil
        var model = pager(path: "/\(Hub.runsPlural)", next: next, keeping: ["workflow", "status"], visit)
        model.merge([
            "runs": .array(runs.map { RunPages.row(RunJSON.run($0), now: visit.now) }),
            "has_runs": .bool(!runs.isEmpty),
            "workflows": TimelinePages.options(
                "All workflows", hub.kinds.flatMap(\.workflows).map { ($0.name, $0.name) },
                selected: visit.asked("workflow")),
            "statuses": TimelinePages.options(
                "Any status", RunState.allCases.map { ($0.rawValue, $0.rawValue) }, selected: status?.rawValue),
        ]) { $1 }
        return page(
            "runs", title: "Runs", section: RunPages.section, topics: [HubChange.workflowRun], visit, model)
    }

    func run(_ id: String, _ visit: Visit) async throws -> PageAnswer {
        let (history, current) = try await hub.workflowRun(id, as: visit.principal)
        let model = RunPages.page(
            RunJSON.history(history, currentStep: current),
            mayWrite: visit.principal.may("write", Hub.runsPlural), now: visit.now)
        return page(
            "run", title: history.run.workflow, section: RunPages.section,
            crumbs: [Crumb(label: "Runs", path: "/\(Hub.runsPlural)"), Crumb(label: String(id.prefix(8)))],
            topics: [HubChange.workflowRun], visit, model)
    }

    /// The buttons of a run.
    func changeRun(_ id: String, _ action: String, _ visit: Visit) async throws -> PageAnswer {
        switch action {
        case "cancel": _ = try await hub.cancelRun(id, as: visit.principal)
        case "retry": _ = try await hub.retryRun(id, as: visit.principal)
        default: throw Problem(.notFound, "A run has no action \"\(action.prefix(60))\".")
        }
        return .seeOther("/\(Hub.runsPlural)/\(percentEncoded(id))?done=\(action == "retry" ? "retry" : "done")")
    }
}
