import AccessResources
import AgentProtocol
import Crypto
import Host
import HubStore
public import Model
public import ResourceKit
import TenantsResources

/// A refusal of the OpenID provider by one of the words of RFC 6749 and OpenID Connect Core.
public struct OIDCRefusal: Error, Sendable, Equatable {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `login_required` and so on.
    public var word: String
    public var message: String

    public init(_ word: String, _ message: String) {
        self.word = word
        self.message = message
    }
}

/// A request for a login (OpenID Connect Core section 3.1.2.1) whose client and return address are known to be right.
public struct OIDCRequest: Sendable, Equatable {
    public var clientId: String
    public var clientName: String
    public var redirectURI: String
    public var scopes: [String]
    public var nonce: String?
    /// Of PKCE with `S256` (RFC 7636).
    public var challenge: String

    public init(
        clientId: String, clientName: String, redirectURI: String, scopes: [String], nonce: String?, challenge: String
    ) {
        self.clientId = clientId
        self.clientName = clientName
        self.redirectURI = redirectURI
        self.scopes = scopes
        self.nonce = nonce
        self.challenge = challenge
    }
}

/// Who logs in.
public struct OIDCSubject: Sendable, Equatable {
    /// `user` or `tenant`.
    public var kind: String
    public var id: String

    public init(kind: String, id: String) {
        self.kind = kind
        self.id = id
    }
}

/// What a client gets for a code.
public struct OIDCTokens: Sendable, Equatable {
    public var accessToken: String
    public var idToken: String
    public var scope: String
}

/// The OpenID provider: authorization code with PKCE. Codes and access tokens are stored as hashes.
extension Hub {
    private static let codeSpace = "oidc_code"
    private static let accessSpace = "oidc_access"
    private static let hintSpace = "oidc_login"
    private static let codeLifetime: Duration = .seconds(60)
    private static let hintLifetime: Duration = .seconds(120)
    /// Of ID tokens and access tokens.
    public static let oidcTokenLifetime: Duration = .seconds(3600)
    public static let oidcScopes = ["openid", "profile", "email"]

    private static func key(_ use: String, _ secret: String) -> String { sha256Hex(Array("\(use) \(secret)".utf8)) }

    /// The issuer that the platform's configuration names; nil for none.
    public func configuredIssuer() async throws -> String? {
        guard let kind = kind("platform-config") else { return nil }
        let text = try await store.read { try $0.all(kind.name, parentId: nil).first?.spec["oidc_issuer"]?.stringValue }
        return text.flatMap { $0.isEmpty ? nil : $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    }

    /// The client of this id; nil for none.
    public func oidcClient(_ id: String) async throws -> ResourceRecord? {
        guard !id.isEmpty, id.utf8.count <= 64, !id.utf8.contains(0) else { return nil }
        return try await store.read { try $0.get("oidc-client", id) }
    }

    // MARK: logging in

    /// The person of a session of the dashboard; nil for the session of an API key, behind which is nobody.
    public func oidcSubject(session token: String, address: String) async throws -> OIDCSubject? {
        guard let session = try await session(token, address: address), session.principal.name.hasPrefix("user:") else {
            return nil
        }
        let email = String(session.principal.name.dropFirst(5))
        let id = try await store.read { try $0.claimHolder("user/\(email.lowercased())") }
        return id.map { OIDCSubject(kind: "user", id: $0) }
    }

    /// A hint that logs a tenant in once, within two minutes: `login_hint` of a request for a login.
    /// - Throws: `forbidden`, `not_found`; `conflict` for a tenant that was never active or is suspended.
    public func makeLoginSession(
        tenantId: String, options: MutationOptions, as principal: Principal
    ) async throws -> MutationAnswer {
        guard let kind = kind("tenant") else { throw Problem(.notFound, "There are no tenants.") }
        let (id, hint) = (world.random.uuid(), "rls_\(world.random.hex(32))")
        let change = UnlistedChange(
            subject: "tenant", action: "login-session", id: tenantId, change: "create", changed: "login-session",
            options: options, principal: principal
        ) { [self] in try await admit(kind, "write", id: tenantId, as: principal) }
        return try await make(change, code: 201) { [self] transaction in
            let tenant = try visible(kind, tenantId, principal, transaction)
            guard Tenants.mayLogIn(tenant) else {
                throw Problem(.conflict, "The tenant is \(tenant.status.rawValue), so it cannot log in.")
            }
            let end = transaction.now.advanced(by: Self.hintLifetime)
            try transaction.putCell(
                Self.hintSpace, Self.key("hint", hint), ["tenant": .string(tenantId), "end": .string(end.rfc3339)],
                expires: end)
            let answer: JSONValue = [
                "id": .string(id), "login_hint": .string(hint), "expires_at": .string(end.rfc3339),
            ]
            return (tenantId, answer)
        }
    }

    /// Whom a login hint logs in; it is used up by this. Nil for one that was used, is too old, or never was.
    public func takeLoginHint(_ hint: String) async throws -> OIDCSubject? {
        guard hint.hasPrefix("rls_"), hint.utf8.count == 68 else { return nil }
        return try await write { transaction in
            let key = Self.key("hint", hint)
            guard let cell = try transaction.cell(Self.hintSpace, key), let id = cell["tenant"]?.stringValue else {
                return nil
            }
            try transaction.removeCell(Self.hintSpace, key)
            guard let end = cell["end"]?.stringValue.flatMap({ Timestamp(rfc3339: $0) }), end > transaction.now,
                try transaction.get("tenant", id).map(Tenants.mayLogIn) == true
            else { return nil }
            return OIDCSubject(kind: "tenant", id: id)
        }
    }

    /// Makes the code that the client turns into tokens.
    public func makeOIDCCode(_ request: OIDCRequest, subject: OIDCSubject, issuer: String) async throws -> String {
        let code = world.random.hex(32)
        let cell: JSONValue = [
            "client": .string(request.clientId), "redirect_uri": .string(request.redirectURI),
            "scope": .string(request.scopes.joined(separator: " ")),
            "nonce": request.nonce.map { .string($0) } ?? .null, "challenge": .string(request.challenge),
            "kind": .string(subject.kind), "id": .string(subject.id), "issuer": .string(issuer),
            "end_ms": .int(world.clock.now().advanced(by: Self.codeLifetime).millisecondsSinceEpoch),
        ]
        // Kept for longer than it is of use: a second use must be known as one.
        let expires = world.clock.now().advanced(by: Self.oidcTokenLifetime)
        try await store.write { transaction in
            var cell = cell
            cell["epoch"] = .int(Self.epoch(of: try transaction.get(subject.kind, subject.id)))
            try transaction.putCell(Self.codeSpace, Self.key("code", code), cell, expires: expires)
        }
        return code
    }

    // MARK: tokens

    /// What a client shows to be itself, and the code that it has.
    public struct OIDCExchange: Sendable {
        public var clientId: String
        /// Nil for a public client.
        public var secret: String?
        public var code: String
        public var redirectURI: String
        public var verifier: String
        public var address: String

        public init(
            clientId: String, secret: String?, code: String, redirectURI: String, verifier: String, address: String
        ) {
            self.clientId = clientId
            self.secret = secret
            self.code = code
            self.redirectURI = redirectURI
            self.verifier = verifier
            self.address = address
        }
    }

    /// Turns a code into tokens, once.
    /// - Throws: ``OIDCRefusal``; `rate_limited` after too many failures.
    public func exchange(_ exchange: OIDCExchange) async throws -> OIDCTokens {
        let account = "oidc \(exchange.clientId.prefix(64)) from \(exchange.address)"
        try loginLimits.admit(account: account, address: exchange.address, at: world.clock.monotonic())
        do {
            try await checkClient(exchange)
            let access = world.random.hex(32)
            let taken = try await write { [self] in try take(exchange, access: access, $0) }
            return try taken.get()
        } catch let refusal as OIDCRefusal {
            loginLimits.noteFailure(account: account, address: exchange.address, at: world.clock.monotonic())
            throw refusal
        }
    }

    private func checkClient(_ exchange: OIDCExchange) async throws {
        let refusal = OIDCRefusal("invalid_client", "The client is unknown, or its secret is wrong.")
        guard let client = try await oidcClient(exchange.clientId) else { throw refusal }
        guard client.spec["type"] != "public" else {
            guard exchange.secret == nil else { throw refusal }
            return
        }
        guard let secret = exchange.secret, let hash = client.state["secret_sha256"]?.stringValue,
            constantTimeEqual(sha256Hex(Array(secret.utf8)), hash)
        else { throw refusal }
    }

    /// A refusal is returned and not thrown: that the code is used up, and what it gave revoked, must be stored.
    private func take(
        _ exchange: OIDCExchange, access: String, _ transaction: any StoreTransaction
    ) throws -> Result<OIDCTokens, OIDCRefusal> {
        let refusal = OIDCRefusal("invalid_grant", "The code is wrong, was used, or is too old.")
        let key = Self.key("code", exchange.code)
        guard exchange.code.utf8.count == 64, var code = try transaction.cell(Self.codeSpace, key) else {
            return .failure(refusal)
        }
        let keep = transaction.now.advanced(by: Self.oidcTokenLifetime)
        if code["is_used"] == true {
            // Somebody else has it, too (RFC 6749 section 4.1.2).
            if let given = code["access"]?.stringValue { try transaction.removeCell(Self.accessSpace, given) }
            return .failure(refusal)
        }
        code["is_used"] = true
        let verifierHash = Base64.encodeForURL(SHA256.hash(data: Array(exchange.verifier.utf8)))
        let isRight =
            code["client"]?.stringValue == exchange.clientId
            && code["redirect_uri"]?.stringValue == exchange.redirectURI
            && (43...128).contains(exchange.verifier.utf8.count)
            && constantTimeEqual(verifierHash, code["challenge"]?.stringValue ?? "")
            && code["end_ms"]?.intValue ?? 0 > transaction.now.millisecondsSinceEpoch
        guard isRight, let claims = try claims(of: code, transaction) else {
            try transaction.putCell(Self.codeSpace, key, code, expires: keep)
            return .failure(refusal)
        }
        let accessKey = Self.key("access", access)
        code["access"] = .string(accessKey)
        try transaction.putCell(Self.codeSpace, key, code, expires: keep)
        let grant: JSONValue = [
            "kind": code["kind"] ?? .null, "id": code["id"] ?? .null, "scope": code["scope"] ?? .null,
            "client": .string(exchange.clientId), "end_ms": .int(keep.millisecondsSinceEpoch),
            "epoch": code["epoch"] ?? 0,
        ]
        try transaction.putCell(Self.accessSpace, accessKey, grant, expires: keep)
        let idToken = try idToken(claims, code, access: access, transaction)
        return .success(
            OIDCTokens(accessToken: access, idToken: idToken, scope: code["scope"]?.stringValue ?? "openid"))
    }

    private func idToken(
        _ claims: [String: JSONValue], _ code: JSONValue, access: String, _ transaction: any StoreTransaction
    ) throws -> String {
        var claims = claims
        let now = transaction.now.millisecondsSinceEpoch / 1000
        claims["iss"] = code["issuer"]
        claims["aud"] = code["client"]
        claims["iat"] = .int(now)
        claims["exp"] = .int(now + Self.oidcTokenLifetime.milliseconds / 1000)
        if let nonce = code["nonce"], !nonce.isNull { claims["nonce"] = nonce }
        // The left half of the hash of the access token (OpenID Connect Core section 3.1.3.6).
        claims["at_hash"] = .string(Base64.encodeForURL(Array(SHA256.hash(data: Array(access.utf8))).prefix(16)))
        return try oidcSigningKey(transaction).token(.object(claims))
    }

    /// What a new password, a second factor and disabling change: what was given before ends with the sessions.
    private static func epoch(of subject: ResourceRecord?) -> Int64 {
        subject.map { $0.kind == "user" ? User.sessionEpoch(of: $0) : 0 } ?? 0
    }

    /// What is told of a person or tenant; nil when it is gone or may not log in any more.
    private func claims(
        of grant: JSONValue, _ transaction: any StoreTransaction
    ) throws -> [String: JSONValue]? {
        guard let kind = grant["kind"]?.stringValue, let id = grant["id"]?.stringValue,
            let record = try transaction.get(kind, id),
            kind == "tenant" ? Tenants.mayLogIn(record) : record.status == .active, record.spec["is_disabled"] != true,
            grant["epoch"]?.intValue ?? 0 == Self.epoch(of: record)
        else { return nil }
        let scopes = Set((grant["scope"]?.stringValue ?? "").split(separator: " "))
        var claims: [String: JSONValue] = ["sub": .string(id)]
        if kind == "tenant" {
            claims["tenant_id"] = .string(id)
            claims["brand_id"] = record.brandId.map { .string($0) }
            if scopes.contains("profile") { claims["name"] = record.spec["name"] ?? .string(id) }
            return claims
        }
        let email = record.spec["email"]?.stringValue ?? id
        if scopes.contains("email") { claims["email"] = .string(email) }
        if scopes.contains("profile") {
            claims["name"] = record.spec["name"] ?? .string(email)
            claims["preferred_username"] = .string(email)
        }
        return claims
    }

    /// What an access token tells of who logged in (OpenID Connect Core section 5.3).
    /// - Throws: ``OIDCRefusal`` with `invalid_token`.
    public func userInfo(accessToken: String) async throws -> JSONValue {
        let refusal = OIDCRefusal("invalid_token", "The access token is wrong, too old, or was revoked.")
        guard accessToken.utf8.count == 64 else { throw refusal }
        return try await store.read { [self] transaction in
            guard let grant = try transaction.cell(Self.accessSpace, Self.key("access", accessToken)),
                grant["end_ms"]?.intValue ?? 0 > transaction.now.millisecondsSinceEpoch,
                let client = grant["client"]?.stringValue, try transaction.get("oidc-client", client) != nil,
                let claims = try claims(of: grant, transaction)
            else { throw refusal }
            return .object(claims)
        }
    }
}
