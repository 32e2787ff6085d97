import HTTPTypes
import HubCore
import HubStore
import Hummingbird
import Model
import ResourceKit

/// The endpoints that follow from a kind's declaration.
extension HubAPI {
    static let base = "/api/v1"

    func endpoints(of kind: ResourceKind) -> [Endpoint] {
        var result: [Endpoint] = []
        if let path = kind.singletonPath { return singleton(kind, "\(Self.base)/\(path)") }
        let collection = "\(Self.base)/\(kind.plural)"
        if kind.verbs.contains(.list) { result.append(listing(kind, collection, isNested: false)) }
        if kind.verbs.contains(.create) { result.append(creation(kind, collection, isNested: false)) }
        if let parent = kind.parent.flatMap({ hub.kind($0.kind) }) {
            let nested = "\(Self.base)/\(parent.plural)/{id}/\(kind.segment)"
            if kind.verbs.contains(.list) { result.append(listing(kind, nested, isNested: true)) }
            if kind.verbs.contains(.create) { result.append(creation(kind, nested, isNested: true)) }
            if !kind.naturalKey.isEmpty { result.append(deletionByKey(kind, nested)) }
        }
        if kind.verbs.contains(.read) { result.append(reading(kind)) }
        if kind.verbs.contains(.update) { result += update(kind) }
        if kind.verbs.contains(.delete) { result.append(deletion(kind)) }
        result += kind.links.flatMap { linkEndpoints(kind, $0) } + kind.views.map { viewEndpoint(kind, $0) }
        return result + kind.allActions.map { action(kind, $0) }
    }

    /// A kind of which there is exactly one: read and changed at a path of its own.
    private func singleton(_ kind: ResourceKind, _ path: String) -> [Endpoint] {
        ([reading(kind)] + update(kind)).map { endpoint in
            var own = endpoint
            own.path = path
            own.operation.parameters.removeAll { $0 == Schema.idParameter }
            own.handle = { request in
                try await endpoint.handle(request.with(id: kind.name))
            }
            return own
        }
    }

    private static func scope(_ kind: ResourceKind, _ action: String) -> Operation.Scope {
        .init(kind.plural, action, isPlatformOnly: kind.isPlatformOnly)
    }

    private func listing(_ kind: ResourceKind, _ path: String, isNested: Bool) -> Endpoint {
        var operation = Operation(
            id: "list-\(kind.plural)\(isNested ? "-below" : "")", tag: kind.plural,
            summary: "List \(kind.plural)\(isNested ? " of one \(kind.parent?.kind ?? "")" : "").")
        operation.scope = Self.scope(kind, "read")
        // Below a parent, the path says already which one.
        let references = ListQuery.references(of: kind).filter { !isNested || $0 != kind.parent?.field }
        operation.parameters =
            (isNested ? [Schema.idParameter] : []) + Schema.listParameters
            + references.map { Schema.parameter($0, ["type": "string", "minLength": 1], "Only those of this id.") }
        let known = operation.queryNames
        operation.answers = [(200, Schema.page(of: Schema.reference(kind.name)))]
        return Endpoint(method: .get, path: path, access: .key, operation: operation) { request in
            // Decided first, so that a wrong parameter does not tell anything about a resource.
            try await hub.admit(kind, "read", parentId: isNested ? request.id : nil, as: request.principal)
            try request.query.expectOnly(known)
            var query = try Self.listQuery(request, parentId: isNested ? request.id : nil)
            for name in references where request.query.names.contains(name) {
                guard let id = request.query[name] else { throw Problem.invalid(name, "must be an id") }
                query.references[name] = id
            }
            let (items, next) = try await hub.list(kind, query, as: request.principal)
            return Answers.json(Self.page(items, next))
        }
    }

    static func listQuery(_ request: APIRequest, parentId: String?) throws -> ListQuery {
        let query = request.query
        return ListQuery(
            parentId: parentId, limit: Int(try query.integer("limit", in: 1...200, default: 50)),
            cursor: query["cursor"], search: query["search"], status: query.given("status"),
            sort: query["sort"] ?? "created_at", descending: try query.choice("order", ["asc", "desc"]) == "desc")
    }

    static func page(_ items: [JSONValue], _ next: String?) -> JSONValue {
        [
            "items": .array(items), "next_cursor": next.map(JSONValue.string) ?? .null, "has_more": .bool(next != nil),
        ]
    }

    private func creation(_ kind: ResourceKind, _ path: String, isNested: Bool) -> Endpoint {
        var operation = Operation(
            id: "create-\(kind.name)\(isNested ? "-below" : "")", tag: kind.plural, summary: "Create a \(kind.name).")
        operation.scope = .init(kind.plural, "write", isPlatformOnly: kind.isCreatedByPlatform)
        operation.parameters = (isNested ? [Schema.idParameter] : []) + Schema.mutationParameters(isPost: true)
        operation.body = Schema.reference("\(kind.name)-creation\(isNested || kind.parent == nil ? "" : "-flat")")
        operation.isBodyRequired = true
        operation.answers = [
            (kind.isAsynchronous ? 202 : 201, Schema.reference("\(kind.name)-created")),
            (200, Schema.reference("plan")),
        ]
        return Endpoint(method: .post, path: path, access: .key, operation: operation) { request in
            let parentId = isNested ? request.id : nil
            let body = try await admittedBody(request, kind, "create", "write", id: nil, parentId: parentId)
            let answer = try await hub.create(
                kind, parentId: parentId, body: body == .null ? [:] : body, options: try request.options(),
                as: request.principal)
            return Self.response(withInstallCommand(answer, kind))
        }
    }

    private func reading(_ kind: ResourceKind) -> Endpoint {
        var operation = Operation(id: "read-\(kind.name)", tag: kind.plural, summary: "Read a \(kind.name).")
        operation.scope = Self.scope(kind, "read")
        operation.parameters = [Schema.idParameter]
        operation.answers = [(200, Schema.reference(kind.name)), (304, nil)]
        return Endpoint(method: .get, path: "\(Self.base)/\(kind.plural)/{id}", access: .key, operation: operation) {
            request in
            let value = try await hub.read(kind, id: request.id, as: request.principal)
            let tag = "\"\(value["revision"]?.intValue ?? 0)\""
            if request.request.headers[.ifNoneMatch] == tag {
                return Answers.empty(.notModified, headers: [.eTag: tag])
            }
            return Answers.json(value, headers: [.eTag: tag])
        }
    }

    /// PUT changes only what it names, so PATCH is another word for it.
    private func update(_ kind: ResourceKind) -> [Endpoint] {
        var operation = Operation(
            id: "update-\(kind.name)", tag: kind.plural,
            summary: "Change the named fields of a \(kind.name); null puts a default back.")
        operation.scope = Self.scope(kind, "write")
        operation.parameters = [Schema.idParameter] + Schema.mutationParameters(isPost: false)
        operation.body = Schema.reference("\(kind.name)-update")
        operation.isBodyRequired = true
        // 200 is the answer to a plan as well.
        let plan = Schema.reference("plan")
        operation.answers =
            kind.isAsynchronous
            ? [(202, Schema.reference(kind.name)), (200, plan)]
            : [(200, ["oneOf": [Schema.reference(kind.name), plan]])]
        let put = Endpoint(method: .put, path: "\(Self.base)/\(kind.plural)/{id}", access: .key, operation: operation) {
            request in
            let body = try await admittedBody(request, kind, "update", "write", id: request.id, parentId: nil)
            return Self.response(
                try await hub.update(
                    kind, id: request.id, body: body == .null ? [:] : body, options: try request.options(),
                    as: request.principal))
        }
        var patch = put
        patch.method = .patch
        patch.operation.id = "patch-\(kind.name)"
        return [put, patch]
    }

    private func deletion(_ kind: ResourceKind) -> Endpoint {
        var operation = Operation(
            id: "delete-\(kind.name)", tag: kind.plural, summary: "Delete a \(kind.name) and all that is below it.")
        operation.scope = Self.scope(kind, "delete")
        operation.parameters = [Schema.idParameter] + Schema.mutationParameters(isPost: false)
        operation.answers = [
            kind.isAsynchronous ? (202, Schema.reference(kind.name)) : (204, nil), (200, Schema.reference("plan")),
        ]
        return Endpoint(method: .delete, path: "\(Self.base)/\(kind.plural)/{id}", access: .key, operation: operation) {
            request in
            let body = try await admittedBody(request, kind, "delete", "delete", id: request.id, parentId: nil)
            return Self.response(
                try await hub.delete(
                    kind, id: request.id, body: body, options: try request.options(), as: request.principal))
        }
    }

    private func action(_ kind: ResourceKind, _ action: ResourceAction) -> Endpoint {
        var operation = Operation(id: "\(action.name)-\(kind.name)", tag: kind.plural, summary: action.summary)
        operation.scope = Self.scope(kind, "write")
        operation.parameters = [Schema.idParameter] + Schema.mutationParameters(isPost: true)
        operation.isDestructive = action.isDestructive
        operation.body =
            action.fields.isEmpty
            ? ["type": "object", "additionalProperties": false]
            : Schema.object(action.fields)
        operation.isBodyRequired = action.fields.contains(where: \.isRequired)
        let answered = action.name.hasPrefix("rotate-") ? "\(kind.name)-created" : action.answers ?? kind.name
        let plan = Schema.reference("plan")
        operation.answers =
            kind.isAsynchronous
            ? [(202, Schema.reference(answered)), (200, plan)]
            : [(200, ["anyOf": [Schema.reference(answered), plan]])]
        let path = "\(Self.base)/\(kind.plural)/{id}/\(action.name)"
        return Endpoint(method: .post, path: path, access: .key, operation: operation) { request in
            let body = try await admittedBody(request, kind, action.name, "write", id: request.id, parentId: nil)
            return Self.response(
                try await hub.perform(
                    action, on: kind, id: request.id, body: body, options: try request.options(),
                    as: request.principal))
        }
    }

    /// The body, once the caller may do this at all. A refusal here is in the audit log like any other.
    func admittedBody(
        _ request: APIRequest, _ kind: ResourceKind, _ action: String, _ scope: String, id: String?, parentId: String?,
        isForPlatform: Bool = false
    ) async throws -> JSONValue {
        do {
            try await hub.admit(kind, scope, id: id, parentId: parentId, as: request.principal)
            if isForPlatform { try request.principal.requirePlatform() }
            return try await request.json()
        } catch {
            let problem = Problem(wrapping: error, doing: "Reading the request")
            await hub.auditRefusal(kind, action, id: id, problem, as: request.principal)
            throw problem
        }
    }

    static func response(_ answer: MutationAnswer) -> Response {
        let status = HTTPResponse.Status(code: answer.code)
        return answer.code == 204 ? Answers.empty(status) : Answers.json(answer.body, status: status)
    }
}
