import Model

extension Schema {
    static func parameter(
        _ name: String, _ schema: JSONValue, _ description: String, required: Bool = false, place: String = "query"
    ) -> JSONValue {
        [
            "name": .string(name), "in": .string(place), "required": .bool(required), "schema": schema,
            "description": .string(description),
        ]
    }

    static let idParameter = parameter(
        "id", ["type": "string", "minLength": 1], "Id of the resource.", required: true, place: "path")

    static let pageParameters: [JSONValue] = [
        parameter("limit", ["type": "integer", "minimum": 1, "maximum": 200, "default": 50], "Entries per page."),
        parameter("cursor", ["type": "string"], "next_cursor of the page before."),
    ]

    static let listParameters: [JSONValue] =
        pageParameters + [
            parameter(
                "search", ["type": "string", "maxLength": 255], "Only resources whose id or names contain this."),
            parameter(
                "status",
                [
                    "type": "string",
                    "enum": ["pending", "provisioning", "active", "failed", "deleting", "deleted", "suspended"],
                ], "Only resources in this status."),
            parameter(
                "sort", ["type": "string", "default": "created_at"],
                "created_at, updated_at, id, status, or a field of one value."),
            parameter(
                "order", ["type": "string", "enum": ["asc", "desc"], "default": "asc"], "Direction of the order."),
        ]

    static let followParameter = parameter(
        "follow", ["type": "boolean", "default": false],
        "Keep the connection open and send what is new as server-sent events.")

    static let eventParameters: [JSONValue] =
        pageParameters + [
            parameter("kind", ["type": "string"], "build, run, crash, config, health or security."), followParameter,
        ]

    /// Of a POST that changes something that is no resource.
    static let unlistedParameters = mutationParameters(isPost: true).filter {
        $0["name"] != "If-Match" && $0["name"] != "callback_url"
    }

    static func mutationParameters(isPost: Bool) -> [JSONValue] {
        var result = [
            parameter("plan", ["type": "boolean", "default": false], "Answer what would change, and change nothing."),
            parameter(
                "If-Match", ["type": "string", "pattern": "^\"?[0-9]{1,18}\"?$"],
                "Revision that the caller saw; another one is refused with 409.", place: "header"),
            parameter(
                "callback_url", ["type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 1000],
                "Told with a signed POST when an asynchronous change is done."),
        ]
        if isPost {
            result.append(
                parameter(
                    "Idempotency-Key", ["type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"],
                    "The same key and body answer the same result for 24 hours.", place: "header"))
        }
        return result
    }
}
