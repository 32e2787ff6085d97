import HTTPTypes
import Hummingbird
import Model

/// One operation of the API: how it is reached, how it is described, what it does.
struct Endpoint: Sendable {
    enum Access: Sendable {
        case anyone
        /// An API key, or the session of a logged-in user.
        case key
        /// A signature that the endpoint verifies itself.
        case signature
    }

    var method: HTTPRequest.Method
    /// `/api/v1/services/{id}/logs`; the only parameter is `{id}`.
    var path: String
    var access: Access
    var operation: Operation
    var handle: @Sendable (APIRequest) async throws -> Response
}

/// What the OpenAPI document says about an endpoint.
struct Operation: Sendable {
    var id: String
    var tag: String
    var summary: String
    var parameters: [JSONValue] = []
    /// Schema of the JSON body.
    var body: JSONValue?
    var isBodyRequired = false
    /// The body is an archive, not JSON.
    var isUpload = false
    /// Status code → schema of the answer; nil for an answer without a body.
    var answers: [(code: Int, schema: JSONValue?)] = []
    /// Of the answer.
    var mediaType = "application/json"
    /// Whether `follow=true` answers server-sent events instead.
    var isStream = false
    /// Whether its query names resources, which may not be there.
    var namesResources = false
    /// Left out of the document: not for clients.
    var isHidden = false
    /// Another address of an operation: in the document, and no tool of its own.
    var isAlias = false
    /// Whether it destroys something, besides what DELETE says by itself.
    var isDestructive = false
    /// What a caller needs for it; nil where the endpoint decides by other rules. The endpoint checks it itself: this
    /// only tells what a caller need not be shown.
    var scope: Scope?

    /// Names of the parameters that stand in the query.
    var queryNames: Set<String> {
        Set(parameters.filter { $0["in"] == "query" }.compactMap { $0["name"]?.stringValue })
    }

    /// A scope, and whether only callers of all brands have any use for it.
    struct Scope: Sendable {
        var plural: String
        /// `read`, `write` or `delete`.
        var action: String
        var isPlatformOnly: Bool

        init(_ plural: String, _ action: String, isPlatformOnly: Bool = false) {
            self.plural = plural
            self.action = action
            self.isPlatformOnly = isPlatformOnly
        }
    }
}

/// Finds the endpoint of a path.
struct EndpointTable: Sendable {
    /// Methods of a path.
    typealias Methods = [HTTPRequest.Method: Endpoint]

    private(set) var endpoints: [Endpoint] = []
    private var byPattern: [String: Methods] = [:]

    mutating func add(_ endpoint: Endpoint) {
        let pattern = endpoint.path.split(separator: "/").map { $0 == "{id}" ? "{}" : $0 }.joined(separator: "/")
        precondition(byPattern[pattern]?[endpoint.method] == nil, "\(endpoint.method) \(endpoint.path) is there twice")
        byPattern[pattern, default: [:]][endpoint.method] = endpoint
        endpoints.append(endpoint)
    }

    mutating func add(_ more: [Endpoint]) { for endpoint in more { add(endpoint) } }

    /// The methods of a path, and the decoded value of its parameter; nil for an unknown path.
    func find(_ path: String) -> (methods: Methods, id: String)? {
        var segments = path.split(separator: "/", omittingEmptySubsequences: false)
        guard segments.first == "" else { return nil }
        segments.removeFirst()
        guard segments.count <= 8, !segments.contains("") else { return nil }
        if let methods = byPattern[segments.joined(separator: "/")] { return (methods, "") }
        for index in segments.indices.reversed() {
            var pattern = segments
            pattern[index] = "{}"
            guard let methods = byPattern[pattern.joined(separator: "/")] else { continue }
            // Text that is no name at all cannot be the id of anything.
            return PercentCoding.decode(segments[index]).map { (methods, $0) }
        }
        return nil
    }
}
