import HTTPTypes
import Hummingbird
import Model

/// The revisions of the Model Context Protocol that are spoken here.
enum MCPVersion {
    /// Of requests that carry everything themselves: no handshake, no session.
    static let stateless = ["2026-07-28"]
    /// Begun by `initialize`; newest first.
    static let withSession = ["2025-11-25", "2025-06-18"]
    static let all = stateless + withSession
}

/// One JSON-RPC 2.0 message from a client.
struct MCPMessage: Sendable {
    enum Kind: Sendable {
        case request(id: JSONValue)
        case notification
        /// An answer to a request of ours; we send none, so whatever it says is dropped.
        case response
    }

    static let versionKey = "io.modelcontextprotocol/protocolVersion"
    static let capabilitiesKey = "io.modelcontextprotocol/clientCapabilities"

    var kind: Kind
    var method: String
    var params: [String: JSONValue]

    /// The revision that the message itself names, of a stateless client.
    var ownVersion: JSONValue? { params["_meta"]?[Self.versionKey] }

    /// - Throws: ``MCPError``.
    init(_ json: JSONValue) throws(MCPError) {
        guard case .object(let members) = json, members["jsonrpc"]?.stringValue == "2.0" else {
            // Batches went with the revision 2025-06-18.
            throw MCPError(.invalidRequest, "The body must be one JSON-RPC 2.0 message.")
        }
        let id = members["id"]
        switch id {
        case nil, .string, .int: break
        default: throw MCPError(.invalidRequest, "The id must be a string or a whole number.")
        }
        guard let method = members["method"] else {
            guard id != nil, members["result"] != nil || members["error"] != nil else {
                throw MCPError(.invalidRequest, "The message has no method.", id: id)
            }
            kind = .response
            self.method = ""
            params = [:]
            return
        }
        guard let name = method.stringValue else {
            throw MCPError(.invalidRequest, "The method must be a string.", id: id)
        }
        switch members["params"] {
        case nil: params = [:]
        case .object(let given): params = given
        default: throw MCPError(.invalidParams, "The params must be an object.", id: id)
        }
        kind = id.map { Kind.request(id: $0) } ?? Kind.notification
        self.method = name
    }
}

/// A refusal by JSON-RPC, for what is wrong with a message itself. What a tool refuses is a result.
struct MCPError: Error, Sendable {
    enum Code: Int64, Sendable {
        case parse = -32700
        case invalidRequest = -32600
        case methodNotFound = -32601
        case invalidParams = -32602
        case headerMismatch = -32020
        case unsupportedVersion = -32022
    }

    var code: Code
    var message: String
    var id: JSONValue?
    var data: JSONValue?

    init(_ code: Code, _ message: String, id: JSONValue? = nil, data: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.id = id
        self.data = data
    }

    /// - Parameter isStateless: the newer revision says what is wrong by the HTTP status as well.
    func response(isStateless: Bool) -> Response {
        var error: JSONValue = ["code": .int(code.rawValue), "message": .string(message)]
        if let data { error["data"] = data }
        let status: HTTPResponse.Status =
            switch code {
            case .parse, .invalidRequest, .headerMismatch, .unsupportedVersion: .badRequest
            case .methodNotFound: isStateless ? .notFound : .ok
            case .invalidParams: isStateless ? .badRequest : .ok
            }
        return Answers.json(["jsonrpc": "2.0", "id": id ?? .null, "error": error], status: status)
    }
}

extension HTTPField.Name {
    static let mcpSession = HTTPField.Name("Mcp-Session-Id")!
    static let mcpVersion = HTTPField.Name("MCP-Protocol-Version")!
    static let mcpMethod = HTTPField.Name("Mcp-Method")!
    static let mcpName = HTTPField.Name("Mcp-Name")!
}
