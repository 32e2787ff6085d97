import HTTPTypes
import HubCore
import Hummingbird
import Model
import ResourceKit

/// Endpoints of a kind's links, views and natural key.
extension HubAPI {
    func linkEndpoints(_ kind: ResourceKind, _ link: ResourceLink) -> [Endpoint] {
        let path = "\(Self.base)/\(kind.plural)/{id}/\(link.name)"
        let list = Schema.reference("\(kind.name)-\(link.name)-list")
        var reading = Operation(
            id: "read-\(kind.name)-\(link.name)", tag: kind.plural, summary: link.summary)
        reading.parameters = [Schema.idParameter]
        reading.answers = [(200, list)]
        var setting = Operation(
            id: "set-\(kind.name)-\(link.name)", tag: kind.plural, summary: "Replace: \(link.summary)")
        setting.parameters = [Schema.idParameter] + Schema.mutationParameters(isPost: false)
        setting.body = Schema.reference("\(kind.name)-\(link.name)")
        setting.isBodyRequired = true
        setting.answers = [(200, ["oneOf": [list, Schema.reference("plan")]])]
        return [
            Endpoint(method: .get, path: path, access: .key, operation: reading) {
                Answers.json(try await hub.linked(link, of: kind, id: $0.id, as: $0.principal))
            },
            Endpoint(method: .put, path: path, access: .key, operation: setting) { request in
                let body = try await admittedBody(
                    request, kind, "set-\(link.name)", "write", id: request.id, parentId: nil, isForPlatform: true)
                return Self.response(
                    try await hub.setLinked(
                        link, of: kind, id: request.id, body: body == .null ? [:] : body,
                        options: try request.options(), as: request.principal))
            },
        ]
    }

    func viewEndpoint(_ kind: ResourceKind, _ view: ResourceView) -> Endpoint {
        var operation = Operation(id: "\(view.name)-\(kind.name)", tag: kind.plural, summary: view.summary)
        operation.parameters = [Schema.idParameter]
        operation.answers = [(200, ["type": "object"])]
        let path = "\(Self.base)/\(kind.plural)/{id}/\(view.name)"
        return Endpoint(method: .get, path: path, access: .key, operation: operation) {
            Answers.json(try await hub.view(view.name, of: kind, id: $0.id, as: $0.principal))
        }
    }

    /// `DELETE` on the collection below a parent; the key stands in the query or in the body.
    func deletionByKey(_ kind: ResourceKind, _ path: String) -> Endpoint {
        var operation = Operation(
            id: "delete-\(kind.name)-by-key", tag: kind.plural,
            summary: "Delete the \(kind.name) with this \(kind.naturalKey.joined(separator: " and ")).")
        operation.parameters =
            [Schema.idParameter]
            + kind.naturalKey.map { Schema.parameter($0, ["type": "string"], "Names the \(kind.name).") }
            + Schema.mutationParameters(isPost: false)
        operation.answers = [
            kind.isAsynchronous ? (202, Schema.reference(kind.name)) : (204, nil), (200, Schema.reference("plan")),
        ]
        return Endpoint(method: .delete, path: path, access: .key, operation: operation) { request in
            try await hub.admit(kind, "delete", parentId: request.id, as: request.principal)
            let body = try await request.json()
            guard var key = body.isNull ? [:] : body.objectValue else {
                throw Problem(.invalid, "The body must be a JSON object, not \(body.typeName).")
            }
            for name in kind.naturalKey { if let value = request.query[name] { key[name] = .string(value) } }
            let id = try await hub.find(kind, below: request.id, key, as: request.principal)
            return Self.response(
                try await hub.delete(kind, id: id, options: try request.options(), as: request.principal))
        }
    }
}
