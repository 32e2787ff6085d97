import AgentProtocol
import HTTPTypes
import HubCore
import Hummingbird
import Model
import ResourceKit

/// The OpenID provider (OpenID Connect Core 1.0, authorization code with PKCE).
extension HubAPI {
    func oidcEndpoints() -> [Endpoint] {
        guard hub.kind("oidc-client") != nil else { return [] }
        var result: [Endpoint] = [
            hidden(.get, "/.well-known/openid-configuration") { try await discovery($0) },
            hidden(.get, "/oidc/jwks") { _ in
                Answers.json(try await hub.oidcPublicKeys(), headers: [.accessControlAllowOrigin: "*"])
            },
            hidden(.get, "/oidc/authorize") { try await limited("authorize", $0) { await authorize($0) } },
            hidden(.post, "/oidc/authorize") { try await limited("authorize", $0) { await authorize($0) } },
            hidden(.get, "/oidc/continue") { Self.continuing($0) },
            hidden(.post, "/oidc/token") { try await limited("token", $0) { try await token($0) } },
            hidden(.get, "/oidc/userinfo") { try await userInfo($0) },
            hidden(.post, "/oidc/userinfo") { try await userInfo($0) },
        ]
        result.append(rotation())
        if hub.kind("tenant") != nil { result.append(loginSession()) }
        return result
    }

    /// Answered to browsers and relying parties, which have a specification of their own.
    private func hidden(
        _ method: HTTPRequest.Method, _ path: String,
        _ handle: @escaping @Sendable (APIRequest) async throws -> Response
    ) -> Endpoint {
        var operation = Operation(id: path, tag: "oidc", summary: "A part of the OpenID provider.")
        operation.isHidden = true
        return Endpoint(method: method, path: path, access: .anyone, operation: operation, handle: handle)
    }

    /// The clients at the addresses of the provider as well.
    func oidcAliases(_ endpoints: [Endpoint]) -> [Endpoint] {
        let plain = "\(Self.base)/oidc-clients"
        return ["\(Self.base)/oidc/clients", "/oidc/clients"].flatMap { alias in
            endpoints.filter { $0.path.hasPrefix(plain) }.map { endpoint in
                var other = endpoint
                other.path = alias + endpoint.path.dropFirst(plain.count)
                other.operation.isAlias = true
                other.operation.id = "\(endpoint.operation.id)-of-provider"
                // One other address is enough to know.
                other.operation.isHidden = alias != "/oidc/clients"
                return other
            }
        }
    }

    private func rotation() -> Endpoint {
        var operation = Operation(
            id: "rotate-oidc-key", tag: "oidc-clients",
            summary: "Sign ID tokens with a new key; the old one stays published until its tokens have ended.")
        operation.scope = .init("oidc-clients", "write", isPlatformOnly: true)
        operation.parameters = Schema.unlistedParameters
        operation.body = ["type": "object", "additionalProperties": false]
        let key: JSONValue = ["type": "object", "required": ["kid"], "properties": ["kid": ["type": "string"]]]
        operation.answers = [(200, ["oneOf": [key, Schema.reference("plan")]])]
        return Endpoint(method: .post, path: "\(Self.base)/oidc/rotate-key", access: .key, operation: operation) {
            request in
            if let kind = hub.kind("oidc-client") {
                let body = try await admittedBody(request, kind, "rotate-key", "write", id: nil, parentId: nil)
                try APIRequest.expectNoFields(in: body)
            }
            return Self.response(
                try await hub.rotateOIDCKey(options: try request.options(), as: request.principal))
        }
    }

    /// These take no key, so they are counted by where they come from.
    private func limited(
        _ what: String, _ request: APIRequest, _ answer: (APIRequest) async throws -> Response
    ) async throws -> Response {
        try hub.countAttempt("oidc \(what)", from: request.address)
        return try await answer(request)
    }

    private func loginSession() -> Endpoint {
        var operation = Operation(
            id: "login-session-tenant", tag: "tenants",
            summary: "Make a login hint that logs the tenant in to a client once, within two minutes.")
        operation.scope = .init("tenants", "write")
        operation.parameters = [Schema.idParameter] + Schema.unlistedParameters
        operation.body = ["type": "object", "additionalProperties": false]
        operation.answers = [
            (
                201,
                [
                    "type": "object", "required": ["id", "login_hint", "expires_at"],
                    "properties": [
                        "id": ["type": "string"], "login_hint": ["type": "string"],
                        "expires_at": ["type": "string", "format": "date-time"],
                    ],
                ]
            ), (200, Schema.reference("plan")),
        ]
        let path = "\(Self.base)/tenants/{id}/login-sessions"
        return Endpoint(method: .post, path: path, access: .key, operation: operation) { request in
            if let kind = hub.kind("tenant") {
                let body = try await admittedBody(
                    request, kind, "login-session", "write", id: request.id, parentId: nil)
                try APIRequest.expectNoFields(in: body)
            }
            return Self.response(
                try await hub.makeLoginSession(
                    tenantId: request.id, options: try request.options(), as: request.principal))
        }
    }

    // MARK: what it is

    /// The configured one, or how the request reached the hub.
    func issuer(_ request: APIRequest) async throws -> String {
        if let configured = try await hub.configuredIssuer() { return configured }
        if let url = options.publicURL { return url.hasSuffix("/") ? String(url.dropLast()) : url }
        let authority = request.request.head.authority ?? ""
        guard !authority.isEmpty, authority.utf8.count <= 255,
            authority.utf8.allSatisfy({
                (0x30...0x3A).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                    || [0x2D, 0x2E, 0x5B, 0x5D].contains($0)
            })
        else { throw Problem(.invalid, "The Host header is missing or is no host.") }
        return "\(options.isTLS ? "https" : "http")://\(authority)"
    }

    private func discovery(_ request: APIRequest) async throws -> Response {
        let issuer = try await issuer(request)
        func strings(_ words: String...) -> JSONValue { .array(words.map { .string($0) }) }
        return Answers.json(
            [
                "issuer": .string(issuer), "authorization_endpoint": .string("\(issuer)/oidc/authorize"),
                "token_endpoint": .string("\(issuer)/oidc/token"),
                "userinfo_endpoint": .string("\(issuer)/oidc/userinfo"), "jwks_uri": .string("\(issuer)/oidc/jwks"),
                "scopes_supported": .array(Hub.oidcScopes.map { .string($0) }),
                "response_types_supported": strings("code"), "response_modes_supported": strings("query"),
                "grant_types_supported": strings("authorization_code"), "subject_types_supported": strings("public"),
                "id_token_signing_alg_values_supported": strings("ES256"),
                "token_endpoint_auth_methods_supported": strings(
                    "client_secret_basic", "client_secret_post", "none"),
                "code_challenge_methods_supported": strings("S256"),
                "claims_supported": strings(
                    "sub", "iss", "aud", "exp", "iat", "nonce", "name", "preferred_username", "email", "tenant_id",
                    "brand_id"),
                "authorization_response_iss_parameter_supported": true, "claims_parameter_supported": false,
                "request_parameter_supported": false, "request_uri_parameter_supported": false,
            ], headers: [.accessControlAllowOrigin: "*"])
    }
}
