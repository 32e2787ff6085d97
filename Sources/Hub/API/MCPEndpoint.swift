import AgentProtocol
import HTTPTypes
import Host
import HubCore
import HubStore
import Hummingbird
import Logging
import Model
import ResourceKit

/// The MCP server at `/mcp` (Model Context Protocol, streamable HTTP). It sends nothing by itself, so every answer is
/// plain JSON and there is no stream to listen to.
extension HubAPI {
    private static let sessionSpace = "mcp_session"
    private static let sessionLifetime: Duration = .seconds(86_400)
    /// How long a client may keep the list of tools; it changes with the program and the caller's scopes.
    private static let listLifetimeMs: Int64 = 60_000

    func mcpEndpoints() -> [Endpoint] {
        var operation = Operation(id: "mcp", tag: "mcp", summary: "The MCP server.")
        operation.isHidden = true
        func endpoint(
            _ method: HTTPRequest.Method, _ handle: @escaping @Sendable (APIRequest) async throws -> Response
        ) -> Endpoint {
            Endpoint(method: method, path: "/mcp", access: .key, operation: operation, handle: handle)
        }
        return [
            endpoint(.post) { try await mcp($0) }, endpoint(.delete) { try await endMCPSession($0) },
        ]
    }

    private func mcp(_ request: APIRequest) async throws -> Response {
        try checkOrigin(request)
        try Self.checkAccept(request.request)
        let message: MCPMessage
        do {
            message = try await Self.mcpMessage(request)
        } catch let error as MCPError {
            return error.response(isStateless: false)
        }
        let header = request.request.headers[.mcpVersion]
        let isStateless = message.ownVersion != nil || header.map(MCPVersion.stateless.contains) == true
        do {
            return isStateless
                ? try await statelessAnswer(message, request) : try await sessionAnswer(message, request)
        } catch var error as MCPError {
            if case .request(let id) = message.kind { error.id = id }
            return error.response(isStateless: isStateless)
        }
    }

    private static func mcpMessage(_ request: APIRequest) async throws -> MCPMessage {
        let json: JSONValue
        do {
            json = try await request.json(takesNull: true)
        } catch let problem as Problem where problem.code == .malformedJSON {
            throw MCPError(.parse, problem.message)
        }
        return try MCPMessage(json)
    }

    // MARK: who may come

    /// A page of another site must not be able to speak to this server through somebody's browser.
    private func checkOrigin(_ request: APIRequest) throws {
        guard let origin = request.request.headers[.origin] else { return }
        let authority = request.request.head.authority ?? ""
        let own = ["https://\(authority)", "http://\(authority)", options.publicURL ?? ""]
        guard !origin.isEmpty, own.contains(origin) else {
            throw Problem(.forbidden, "Requests from pages of other sites are not taken.")
        }
    }

    /// Clients must be ready for JSON; one that only takes streams would not see the answer.
    private static func checkAccept(_ request: Request) throws {
        let types = request.headers[values: .accept].flatMap { $0.split(separator: ",") }
            .map { APIRequest.mediaType(String($0.drop { $0 == " " })) }
        guard types.isEmpty || !Set(types).isDisjoint(with: ["application/json", "application/*", "*/*"]) else {
            throw Problem(.invalid, "The Accept header must name application/json.")
        }
    }

    // MARK: requests that stand alone

    private func statelessAnswer(_ message: MCPMessage, _ request: APIRequest) async throws -> Response {
        guard case .request(let id) = message.kind else { return Answers.empty(.accepted) }
        let headers = request.request.headers
        guard let version = message.ownVersion else {
            throw MCPError(.invalidParams, "params._meta must hold \(MCPMessage.versionKey).")
        }
        guard message.params["_meta"]?[MCPMessage.capabilitiesKey] != nil else {
            throw MCPError(.invalidParams, "params._meta must hold \(MCPMessage.capabilitiesKey).")
        }
        guard headers[.mcpVersion].map({ JSONValue.string($0) }) == version else {
            throw MCPError(.headerMismatch, "The header MCP-Protocol-Version differs from the message.")
        }
        guard headers[.mcpMethod] == message.method else {
            throw MCPError(.headerMismatch, "The header Mcp-Method differs from the message.")
        }
        if message.method == "tools/call", let name = message.params["name"]?.stringValue {
            guard headers[.mcpName].flatMap(Self.headerText) == name else {
                throw MCPError(.headerMismatch, "The header Mcp-Name differs from the message.")
            }
        }
        guard let text = version.stringValue, MCPVersion.stateless.contains(text) else {
            throw MCPError(
                .unsupportedVersion, "This revision of the protocol is not spoken here.",
                data: [
                    "supported": .array(MCPVersion.stateless.map { .string($0) }), "requested": version,
                ])
        }
        var result: [String: JSONValue]
        switch message.method {
        case "server/discover":
            result = Self.serverInfo
            result["supportedVersions"] = .array(MCPVersion.all.map { .string($0) })
        case "tools/list": result = try toolList(message, request.principal)
        case "tools/call": result = try await callTool(message, request)
        default: throw MCPError(.methodNotFound, "There is no method \(message.method.prefix(100)).")
        }
        result["resultType"] = "complete"
        if message.method != "tools/call" {
            result["ttlMs"] = .int(Self.listLifetimeMs)
            result["cacheScope"] = "private"
        }
        return Self.answer(id, result)
    }

    /// A header's value, or the text that is in it as `=?base64?…?=`.
    private static func headerText(_ value: String) -> String? {
        guard value.hasPrefix("=?base64?"), value.hasSuffix("?="), value.utf8.count >= 11 else { return value }
        return Base64.decode(String(value.dropFirst(9).dropLast(2))).flatMap { String(validating: $0, as: UTF8.self) }
    }

    // MARK: requests of a session

    private func sessionAnswer(_ message: MCPMessage, _ request: APIRequest) async throws -> Response {
        if message.method == "initialize", case .request(let id) = message.kind {
            return try await initialized(id, message, request)
        }
        let version = try await sessionVersion(request)
        if let given = request.request.headers[.mcpVersion], given != version {
            throw MCPError(
                .invalidRequest, "The header MCP-Protocol-Version must be \(version), as the session began with.")
        }
        guard case .request(let id) = message.kind else { return Answers.empty(.accepted) }
        switch message.method {
        case "ping": return Self.answer(id, [:])
        case "tools/list": return Self.answer(id, try toolList(message, request.principal))
        case "tools/call": return Self.answer(id, try await callTool(message, request))
        default: throw MCPError(.methodNotFound, "There is no method \(message.method.prefix(100)).")
        }
    }

    private func initialized(_ id: JSONValue, _ message: MCPMessage, _ request: APIRequest) async throws -> Response {
        guard let asked = message.params["protocolVersion"]?.stringValue else {
            throw MCPError(.invalidParams, "protocolVersion is required.")
        }
        let version = MCPVersion.withSession.contains(asked) ? asked : MCPVersion.withSession[0]
        let session = hub.world.random.hex(32)
        let cell: JSONValue = ["who": .string(request.principal.identity), "version": .string(version)]
        let expires = hub.world.clock.now().advanced(by: Self.sessionLifetime)
        try await hub.store.write {
            try $0.putCell(Self.sessionSpace, Self.sessionKey(session), cell, expires: expires)
        }
        var result = Self.serverInfo
        result["protocolVersion"] = .string(version)
        result["serverInfo"] = Self.implementation
        return Self.answer(id, result, headers: [.mcpSession: session])
    }

    /// Only a hash of the id is stored, as of every other session.
    private static func sessionKey(_ session: String) -> String { sha256Hex(Array("mcp \(session)".utf8)) }

    /// - Throws: `invalid` without a session, `not_found` for one that has ended or is somebody else's.
    private func sessionVersion(_ request: APIRequest) async throws -> String {
        guard let session = request.request.headers[.mcpSession] else {
            throw Problem(.invalid, "The header Mcp-Session-Id is needed; it comes with the answer to initialize.")
        }
        let cell = try await hub.read { try $0.cell(Self.sessionSpace, Self.sessionKey(session)) }
        guard let cell, cell["who"]?.stringValue == request.principal.identity,
            let version = cell["version"]?.stringValue
        else { throw Problem(.notFound, "The session has ended.", hint: "Begin a new one with initialize.") }
        return version
    }

    private func endMCPSession(_ request: APIRequest) async throws -> Response {
        try checkOrigin(request)
        _ = try await sessionVersion(request)
        let session = request.request.headers[.mcpSession] ?? ""
        try await hub.store.write { try $0.removeCell(Self.sessionSpace, Self.sessionKey(session)) }
        return Answers.empty(.noContent)
    }

    // MARK: what it does

    private static let implementation: JSONValue = [
        "name": "roost", "title": "Roost", "version": "1",
    ]

    private static let serverInfo: [String: JSONValue] = [
        "capabilities": ["tools": [:]],
        "instructions": """
        Tools are named DOMAIN_ACTION. What takes its time is accepted at once: read the resource until its status is \
        active or failed. plan: true answers what a change would do, and changes nothing.
        """,
    ]

    private static func answer(
        _ id: JSONValue, _ result: [String: JSONValue], headers: HTTPFields = [:]
    ) -> Response {
        Answers.json(["jsonrpc": "2.0", "id": id, "result": .object(result)], headers: headers)
    }

    /// One page of the tools that the caller can use; the cursor is the name of the last one.
    private func toolList(_ message: MCPMessage, _ principal: Principal) throws -> [String: JSONValue] {
        let useful = mcpCatalog.tools(for: principal)
        var start = 0
        if let cursor = message.params["cursor"], !cursor.isNull {
            guard let name = cursor.stringValue, let place = useful.firstIndex(where: { $0.name == name }) else {
                throw MCPError(.invalidParams, "The cursor does not belong to this list; start again without it.")
            }
            start = place + 1
        }
        let page = useful[start...].prefix(MCPCatalog.pageSize)
        var result: [String: JSONValue] = ["tools": .array(page.map(\.description))]
        if page.endIndex < useful.count, let last = page.last { result["nextCursor"] = .string(last.name) }
        return result
    }

    private func callTool(_ message: MCPMessage, _ request: APIRequest) async throws -> [String: JSONValue] {
        // A tool that the caller may not use is as unknown as one that does not exist.
        guard let name = message.params["name"]?.stringValue, let tool = mcpCatalog[name: name],
            tool.isUseful(to: request.principal)
        else { throw MCPError(.invalidParams, "There is no such tool.") }
        let arguments: [String: JSONValue]
        switch message.params["arguments"] {
        case nil, .null: arguments = [:]
        case .object(let given): arguments = given
        default: throw MCPError(.invalidParams, "The arguments must be an object.")
        }
        do {
            let value = try await tool.call(arguments, request)
            return [
                "content": [["type": "text", "text": .string(value.canonicalText)]], "structuredContent": value,
                "isError": false,
            ]
        } catch {
            let problem = Problem(wrapping: error, doing: "The tool \(name)")
            if Answers.status(of: problem.code).code >= 500 {
                logger.error(
                    "A tool failed.",
                    metadata: [
                        "tool": "\(name)", "code": "\(problem.code.rawValue)", "context": "\(problem.context ?? "")",
                    ])
            }
            let value: JSONValue = [
                "error": .string(problem.description), "code": .string(problem.code.rawValue),
                "fields": .object(problem.fields.mapValues(JSONValue.string)),
            ]
            return [
                "content": [["type": "text", "text": .string(value.canonicalText)]], "structuredContent": value,
                "isError": true,
            ]
        }
    }
}
