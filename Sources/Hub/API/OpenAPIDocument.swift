import HTTPTypes
import HubCore
import Model
import ResourceKit

/// The OpenAPI 3.1 document, put together from the endpoints and the kinds.
enum OpenAPIDocument {
    /// - Parameter nestable: kinds that a creation of a kind may nest.
    static func json(
        _ endpoints: [Endpoint], kinds: [ResourceKind], nestable: (ResourceKind) -> [ResourceKind]
    ) -> JSONValue {
        var paths: [String: JSONValue] = [:]
        for endpoint in endpoints where !endpoint.operation.isHidden {
            var item = paths[endpoint.path] ?? [:]
            item[endpoint.method.rawValue.lowercased()] = operation(endpoint)
            paths[endpoint.path] = item
        }
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Roost", "version": "1",
                "description": """
                Turns Linux servers into a hosting platform. Every mutation but logins and changes of your own account \
                takes ?plan=true, which answers what would change and changes nothing.
                """,
            ],
            "servers": [["url": "/"]],
            "security": [["bearer": []], ["key": []]],
            "paths": .object(paths),
            "components": [
                "securitySchemes": [
                    "bearer": ["type": "http", "scheme": "bearer"],
                    "key": ["type": "apiKey", "in": "header", "name": "X-API-Key"],
                ],
                "schemas": .object(schemas(kinds, nestable)),
                "responses": ["error": content(Schema.reference("error"), "The request was refused; it says why.")],
            ],
        ]
    }

    private static func content(
        _ schema: JSONValue, _ description: String, _ type: String = "application/json"
    ) -> JSONValue {
        ["description": .string(description), "content": .object([type: ["schema": schema]])]
    }

    private static func operation(_ endpoint: Endpoint) -> JSONValue {
        let operation = endpoint.operation
        var responses: [String: JSONValue] = [:]
        for (code, answer) in operation.answers {
            // A literal nil may have become the null of JSON on its way here.
            let schema = [answer].lazy.compactMap { $0 }.first { !$0.isNull }
            let description = descriptions[code] ?? "Done."
            var response =
                schema.map { content($0, description, operation.mediaType) } ?? ["description": .string(description)]
            if operation.isStream, var types = response["content"]?.objectValue {
                types["text/event-stream"] = ["schema": streamed]
                response["content"] = .object(types)
            }
            responses[String(code)] = response
        }
        for code in refusals(endpoint) { responses[String(code)] = ["$ref": "#/components/responses/error"] }
        var json: JSONValue = [
            "operationId": .string(operation.id), "tags": [.string(operation.tag)],
            "summary": .string(operation.summary), "responses": .object(responses),
        ]
        if !operation.parameters.isEmpty { json["parameters"] = .array(operation.parameters) }
        if let body = operation.body {
            json["requestBody"] = [
                "required": .bool(operation.isBodyRequired), "content": ["application/json": ["schema": body]],
            ]
        }
        if operation.isUpload {
            let binary: JSONValue = ["schema": ["type": "string", "format": "binary"]]
            json["requestBody"] = ["required": true, "content": ["application/octet-stream": binary]]
        }
        if case .anyone = endpoint.access { json["security"] = [] }
        return json
    }

    private static let descriptions: [Int: String] = [
        200: "The answer.", 201: "Created.", 202: "Accepted; the resource says how it goes.", 204: "Done.",
        304: "It is as it was when it had the ETag that If-None-Match names.",
    ]

    private static func refusals(_ endpoint: Endpoint) -> [Int] {
        var codes = [400, 405, 429, 503]
        if case .key = endpoint.access { codes += [401, 403] }
        if endpoint.path.contains("{id}") || endpoint.operation.namesResources || endpoint.method == .post {
            codes.append(404)
        }
        if endpoint.method != .get { codes += [401, 409, 413] }
        return codes
    }

    /// What `#/components/schemas/` refers to.
    static func schemas(
        _ kinds: [ResourceKind], _ nestable: (ResourceKind) -> [ResourceKind]
    ) -> [String: JSONValue] {
        var result = shared
        for kind in kinds {
            let nested = nestable(kind)
            let below = Schema.nested(nested, suffix: "nested", isNullable: true)
            let more = callback(kind).merging(below) { $1 }
            result[kind.name] = Schema.resource(kind)
            result["\(kind.name)-created"] = Schema.resource(
                kind, shownOnce: true, more: Schema.nested(nested, suffix: "created"))
            result["\(kind.name)-creation"] = Schema.object(kind.fields, more: more)
            result["\(kind.name)-update"] = Schema.object(
                kind.fields + Hub.placeField(kind), partial: true, more: callback(kind))
            for link in kind.links {
                let field = Hub.field(of: link)
                result["\(kind.name)-\(link.name)"] = Schema.object([field])
                result["\(kind.name)-\(link.name)-list"] = Schema.linked(link)
            }
            if let parent = kind.parent {
                // Whoever creates it with the one above is called back about that one.
                result["\(kind.name)-nested"] = Schema.object(kind.fields, more: below)
                let type: JSONValue = parent.isOptional ? ["string", "null"] : "string"
                result["\(kind.name)-creation-flat"] = Schema.object(
                    kind.fields,
                    more: more.merging([
                        parent.field: ["type": type, "description": .string("Id of the \(parent.kind) above.")]
                    ]) { $1 },
                    required: parent.isOptional || parent.standardClaim != nil ? [] : [parent.field])
            }
        }
        return result
    }

    private static func callback(_ kind: ResourceKind) -> [String: JSONValue] {
        guard kind.isAsynchronous else { return [:] }
        return [
            "callback_url": [
                "type": ["string", "null"], "format": "uri", "pattern": "^https?://", "maxLength": 1000,
                "description": "Told with a signed POST when the change is done.",
            ]
        ]
    }

    private static let text: JSONValue = ["type": "string"]
    private static let textOrNull: JSONValue = ["type": ["string", "null"]]

    /// One message of a stream.
    private static let streamed: JSONValue = [
        "type": "object", "properties": ["event": text, "id": text, "data": text],
    ]

    private static func members(
        _ properties: [String: JSONValue], optional: [String: JSONValue] = [:]
    ) -> JSONValue {
        [
            "type": "object", "properties": .object(properties.merging(optional) { $1 }),
            "additionalProperties": false,
            "required": .array(properties.keys.sorted().map(JSONValue.string)),
        ]
    }

    private static let shared: [String: JSONValue] = [
        "error": members([
            "error": ["type": "string", "description": "One sentence that a person can act on."],
            "code": ["type": "string", "description": "A stable word."],
            "fields": ["type": "object", "additionalProperties": text, "description": "Field path → why."],
        ]),
        "plan": members([
            "plan": [
                "type": "array",
                "items": members([
                    "change": ["type": "string", "enum": ["create", "update", "delete"]], "kind": text, "id": text,
                    "fields": [
                        "type": "object", "additionalProperties": ["type": "object", "required": ["from", "to"]],
                    ],
                ]),
            ],
            "nodes": [
                "type": "array", "description": "What each server of the stack will do.",
                "items": members(["id": text, "name": text, "steps": ["type": "array", "items": text]]),
            ],
        ]),
        "event": members([
            "id": ["type": "integer"], "time": ["type": "string", "format": "date-time"], "kind": text,
            "node_id": textOrNull, "stack_id": textOrNull, "service_id": textOrNull, "deployment_id": textOrNull,
            "node": textOrNull, "service": textOrNull, "message": text,
        ]),
        "audit-entry": members([
            "id": ["type": "integer"], "time": ["type": "string", "format": "date-time"], "actor": text,
            "actor_id": textOrNull, "action": text, "resource_kind": text, "resource_id": textOrNull, "address": text,
            "outcome": text,
            "body": ["description": "The request's body; secrets are replaced."],
        ]),
        "log-line": members([
            "id": text, "time": ["type": "string", "format": "date-time"], "level": text, "log_type": text,
            "message": text, "node_id": text, "tenant_id": textOrNull, "service_id": textOrNull,
            "deployment_id": textOrNull, "webroot_id": textOrNull, "cron_job_id": textOrNull,
        ]),
        "log": members([
            "node_id": text, "offset": ["type": "integer"], "text": text, "end": ["type": "integer"],
        ]),
        "workflow-run": Schema.workflowRun,
        "search-hit": members([
            "kind": text, "id": text, "name": textOrNull, "status": text, "parent_id": textOrNull,
        ]),
        "stats": members([
            "kinds": [
                "type": "object",
                "additionalProperties": ["type": "object", "additionalProperties": ["type": "integer"]],
            ]
        ]),
        "login": [
            "oneOf": [
                credentials(["email": text, "password": text], optional: ["code": text]), credentials(["key": text]),
            ]
        ],
        "account": members([
            "id": text, "email": text, "role": text, "totp_enabled": ["type": "boolean"],
            "recovery_codes_left": ["type": "integer"],
        ]),
        "password-change": members(["current_password": text, "password": text]),
        "totp": members(["secret": text, "uri": text]),
        "recovery-codes": members(["recovery_codes": ["type": "array", "items": text]]),
        "code": members(["code": ["type": "string", "maxLength": 32]]),
        "audit-verdict": members([
            "is_whole": ["type": "boolean"], "first_broken_id": ["type": ["integer", "null"]],
        ]),
        "session": members(
            [
                "name": text, "csrf_token": text, "expires_at": ["type": "string", "format": "date-time"],
                "scopes": ["type": "array", "items": text],
            ], optional: ["token": text]),
    ]

    private static func credentials(
        _ required: [String: JSONValue], optional: [String: JSONValue] = [:]
    ) -> JSONValue {
        let bearer: JSONValue = [
            "type": "boolean",
            "description": "Answer a token, to be sent as \"Authorization: Bearer TOKEN\", instead of a cookie.",
        ]
        return members(required, optional: optional.merging(["bearer": bearer]) { $1 })
    }
}
