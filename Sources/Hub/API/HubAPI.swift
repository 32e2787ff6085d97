import HTTPTypes
import Host
public import HubCore
import HubStore
public import Hummingbird
public import Logging
import Model
import NIOCore
import ResourceKit

/// The HTTP API of a hub: every endpoint of the catalogue, of the agents, of webhooks and of joining.
///
/// It answers the paths that it knows and everything below `/api/`; all other paths are somebody else's (the
/// dashboard's).
public struct HubAPI: Sendable {
    /// What the composition root knows about where it runs.
    public struct Options: Sendable {
        /// `https://hub.example.org`, for the install script; taken from the request when absent.
        public var publicURL: String?
        /// Whether the hub itself speaks TLS.
        public var isTLS: Bool
        /// The program that joining servers get.
        public var executablePath: String
        /// Base64 of the key that signs desired states; joining servers pin it.
        public var hubPublicKey: String

        public init(
            publicURL: String? = nil, isTLS: Bool = false, executablePath: String = "/proc/self/exe",
            hubPublicKey: String = ""
        ) {
            self.isTLS = isTLS
            self.publicURL = publicURL
            self.hubPublicKey = hubPublicKey
            self.executablePath = executablePath
        }
    }

    let hub: Hub
    let options: Options
    let logger: Logger
    let metrics = RequestMetrics()
    let dates = AnswerDates()
    let streams = StreamLimit()
    private(set) var table = EndpointTable()
    private(set) var mcpCatalog = MCPCatalog([], schemas: [:])

    public init(hub: Hub, options: Options = Options(), logger: Logger) {
        self.hub = hub
        self.options = options
        self.logger = logger
        table.add(platformEndpoints())
        table.add(sessionEndpoints())
        for kind in hub.kinds { table.add(endpoints(of: kind)) }
        table.add(uploadEndpoints() + previewEndpoints())
        table.add(runEndpoints())
        table.add(oidcAliases(table.endpoints) + oidcEndpoints())
        table.add(agentEndpoints())
        table.add(webhookEndpoints())
        table.add(installEndpoints())
        table.add(healthEndpoints())
        table.add(documentationEndpoints(describing: table.endpoints))
        mcpCatalog = MCPCatalog(table.endpoints, schemas: OpenAPIDocument.schemas(hub.kinds, hub.nestable))
        table.add(mcpEndpoints())
    }

    static let requestIdField = HTTPField.Name("X-Request-Id")!

    /// The OpenAPI 3.1 document of this API.
    public var openAPIDocument: [UInt8] {
        OpenAPIDocument.json(table.endpoints, kinds: hub.kinds, nestable: hub.nestable).canonicalBytes
    }

    /// Answers a request; nil when the path is not one of the API.
    public func respond(to request: Request, address: String) async -> Response? {
        let path = String(request.uri.path)
        let found = table.find(path)
        guard found != nil || path == "/api" || path.hasPrefix("/api/") else { return nil }
        let started = ContinuousClock.now
        let requestId = hub.world.random.hex(8)
        var response: Response
        do {
            response = try await answer(request, found, address)
        } catch {
            response = Answers.problem(noted(error, requestId, request))
            if let methods = found?.methods, response.status == .methodNotAllowed {
                response.headers[.allow] = Self.allowed(methods)
            }
        }
        response.headers[Self.requestIdField] = requestId
        response.headers[.xContentTypeOptions] = "nosniff"
        metrics.note(status: response.status.code, duration: ContinuousClock.now - started)
        return request.method == .head ? Self.withoutBody(response) : response
    }

    private func answer(
        _ request: Request, _ found: (methods: EndpointTable.Methods, id: String)?, _ address: String
    ) async throws -> Response {
        guard request.uri.string.utf8.count <= 8192 else {
            throw Problem(.invalid, "The path and query must have at most 8192 bytes.")
        }
        // The store's text ends at a NUL, so that an id with one after it would name the resource without.
        guard let found, !found.id.utf8.contains(0) else {
            throw Problem(.notFound, "There is no such path.", hint: "See /docs.")
        }
        let method = request.method == .head ? .get : request.method
        guard let endpoint = found.methods[method] else {
            throw Problem(.methodNotAllowed, "The path takes \(Self.allowed(found.methods)).")
        }
        let isOpen: Bool
        if case .key = endpoint.access { isOpen = false } else { isOpen = true }
        let principal = isOpen ? Self.anonymous(address) : try await self.principal(of: request, address)
        try hub.countRequest(of: principal)
        return try await endpoint.handle(
            APIRequest(
                request: request, id: found.id, query: try QueryParameters(request.uri.query), principal: principal,
                address: address))
    }

    private static func anonymous(_ address: String) -> Principal {
        Principal(name: "anonymous", scopes: [], brands: .only([]), address: address)
    }

    private static func allowed(_ methods: EndpointTable.Methods) -> String {
        var names = methods.keys.map(\.rawValue)
        if methods[.get] != nil { names.append("HEAD") }
        return names.sorted().joined(separator: ", ")
    }

    /// The problem that the caller hears of. What is not the caller's fault goes to the log.
    private func noted(_ error: any Error, _ requestId: String, _ request: Request) -> Problem {
        let problem = Problem(wrapping: error, doing: "The request")
        if Answers.status(of: problem.code).code >= 500 {
            logger.error(
                "A request failed.",
                metadata: [
                    "request_id": "\(requestId)", "method": "\(request.method)", "path": "\(request.uri.path)",
                    "code": "\(problem.code.rawValue)", "context": "\(problem.context ?? "")",
                ])
        }
        return problem
    }

    /// The answer to HEAD: the head of the answer to GET.
    private static func withoutBody(_ response: Response) -> Response {
        var response = response
        let length = response.body.contentLength
        response.body = ResponseBody(contentLength: length) { writer in try await writer.finish(nil) }
        return response
    }
}
