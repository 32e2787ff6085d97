import HTTPTypes
import HubCore
import HubStore
import Hummingbird
import Model
import Workflow

/// Runs of workflows: `/workflow-runs`.
extension HubAPI {
    private static let collection = "\(base)/\(Hub.runsPlural)"

    func runEndpoints() -> [Endpoint] {
        [
            runListing(), runReading(),
            runAction("cancel", "Stop a run and undo what it did.") { try await $0.cancelRun($1, options: $2, as: $3) },
            runAction("retry", "Let a failed or stalled run go on from the step that failed.") {
                try await $0.retryRun($1, options: $2, as: $3)
            },
        ]
    }

    private static let workflowBytesMax = 200

    private func runListing() -> Endpoint {
        var operation = Operation(id: "list-workflow-runs", tag: Hub.runsPlural, summary: "List runs, newest first.")
        operation.scope = .init(Hub.runsPlural, "read", isPlatformOnly: true)
        operation.parameters =
            Schema.pageParameters + [
                Schema.parameter(
                    "workflow", ["type": "string", "maxLength": .int(Int64(Self.workflowBytesMax))],
                    "Only runs of the workflow with this name."),
                Schema.parameter(
                    "status", ["type": "string", "enum": .array(RunState.allCases.map { .string($0.rawValue) })],
                    "Only runs in this status."),
            ]
        operation.answers = [(200, Schema.page(of: Schema.reference("workflow-run")))]
        let known = operation.queryNames
        return Endpoint(method: .get, path: Self.collection, access: .key, operation: operation) { request in
            let query = request.query
            // Decided before the parameters are looked at.
            _ = try await hub.workflowRuns(RunFilter(limit: 1), as: request.principal)
            try query.expectOnly(known)
            let limit = Int(try query.integer("limit", in: 1...200, default: 50))
            let status = try query.choice("status", RunState.allCases.map(\.rawValue))
            let filter = RunFilter(
                workflow: try query.text("workflow", bytesMax: Self.workflowBytesMax),
                states: status.flatMap { RunState(rawValue: $0) }.map { [$0] },
                before: try query["cursor"].map(RunJSON.place), limit: limit)
            let runs = try await hub.workflowRuns(filter, as: request.principal)
            let next = runs.count == limit ? runs.last.map(RunJSON.cursor) : nil
            return Answers.json(Self.page(runs.map { RunJSON.run($0) }, next))
        }
    }

    private func runReading() -> Endpoint {
        var operation = Operation(
            id: "read-workflow-run", tag: Hub.runsPlural, summary: "Read a run with all of its steps.")
        operation.scope = .init(Hub.runsPlural, "read", isPlatformOnly: true)
        operation.parameters = [Schema.idParameter]
        operation.answers = [(200, Schema.reference("workflow-run"))]
        return Endpoint(method: .get, path: "\(Self.collection)/{id}", access: .key, operation: operation) { request in
            let (history, current) = try await hub.workflowRun(request.id, as: request.principal)
            return Answers.json(RunJSON.history(history, currentStep: current))
        }
    }

    private func runAction(
        _ name: String, _ summary: String,
        _ perform: @escaping @Sendable (Hub, String, MutationOptions, Principal) async throws -> MutationAnswer
    ) -> Endpoint {
        var operation = Operation(id: "\(name)-workflow-run", tag: Hub.runsPlural, summary: summary)
        operation.scope = .init(Hub.runsPlural, "write", isPlatformOnly: true)
        operation.parameters = [Schema.idParameter] + Schema.unlistedParameters
        operation.body = ["type": "object", "additionalProperties": false]
        operation.answers = [(202, Schema.reference("workflow-run")), (200, Schema.reference("plan"))]
        let path = "\(Self.collection)/{id}/\(name)"
        return Endpoint(method: .post, path: path, access: .key, operation: operation) { request in
            // Who may not, hears that before the body is looked at.
            try await hub.admitChange(ofRun: request.id, as: request.principal)
            try APIRequest.expectNoFields(in: try await request.json())
            return Self.response(try await perform(hub, request.id, try request.options(), request.principal))
        }
    }
}
