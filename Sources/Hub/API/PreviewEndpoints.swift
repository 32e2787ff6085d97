import HubCore
import Hummingbird
import Model
import ResourceKit

/// Previews are removed by what they show as well as by their id.
extension HubAPI {
    func previewEndpoints() -> [Endpoint] {
        guard let kind = hub.kind("preview") else { return [] }
        var operation = Operation(
            id: "delete-preview-below", tag: kind.plural,
            summary: "Remove the preview of a branch or pull request of a service.")
        operation.parameters =
            [
                Schema.idParameter,
                Schema.parameter("branch", ["type": "string", "maxLength": 255], "The branch that it runs."),
                Schema.parameter("pull_request", ["type": "integer", "minimum": 1], "The pull request that it runs."),
            ] + Schema.mutationParameters(isPost: false)
        operation.answers = [(202, Schema.reference(kind.name)), (200, Schema.reference("plan"))]
        return [
            Endpoint(
                method: .delete, path: "\(Self.base)/services/{id}/\(kind.plural)", access: .key, operation: operation
            ) { request in
                try await hub.admit(kind, "delete", parentId: request.id, as: request.principal)
                let (branch, number) = (request.query["branch"], request.query["pull_request"])
                guard (branch == nil) != (number == nil) else {
                    throw Problem.invalid("branch", "or pull_request must be given, and only one of them")
                }
                let serviceId = request.id
                let found = try await hub.read { try $0.all(kind.name, parentId: serviceId) }.first {
                    if let branch { return $0.spec["branch"]?.stringValue == branch }
                    return $0.spec["pull_request"]?.intValue == number.flatMap(Int64.init) && number != nil
                }
                guard let found else { throw Problem(.notFound, "The service has no such preview.") }
                let answer = try await hub.delete(
                    kind, id: found.id, options: try request.options(), as: request.principal)
                return Answers.json(answer.body, status: .init(code: answer.code))
            }
        ]
    }
}
