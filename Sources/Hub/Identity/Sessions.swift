import AgentProtocol
import Host
import HubStore
import Logging
public import Model
import ResourceKit

/// A person who is logged in to the dashboard.
public struct Session: Sendable, Equatable {
    /// Goes into the cookie, and nowhere else.
    public var token: String
    /// Must come back with every form; bound to the token.
    public var csrfToken: String
    public var principal: Principal
    /// When the session ends unless it is used before.
    public var expires: Timestamp
}

extension Hub {
    /// A session ends this long after its last use.
    public static let sessionLifetime: Duration = .seconds(12 * 3600)
    private static let refusedLogin = Problem(.unauthenticated, "The email or the password is wrong.")

    /// Logs a user in.
    /// - Throws: `unauthenticated`; `rate_limited` after too many failures.
    public func login(email: String, password: String, address: String) async throws -> Session {
        let account = String(email.lowercased().prefix(320))
        return try await limited(account: account, address: address) {
            let user = try await store.read { transaction in
                try transaction.claimHolder("user/\(account)").flatMap { try transaction.get("user", $0) }
            }
            let hash = try user?.spec["password"]?.stringValue.map { try world.secrets.open($0) }
            guard try await passwords.verify(password, hash: hash), let user else { throw Self.refusedLogin }
            return ("user", user.id)
        }
    }

    /// Logs in with an API key, which then need not be kept in the browser.
    /// - Throws: `unauthenticated`; `rate_limited` after too many failures.
    public func loginWithKey(_ key: String, address: String) async throws -> Session {
        try await limited(account: "key", address: address) {
            _ = try await authenticate(apiKey: key, address: address)
            return ("api-key", key.split(separator: "_").dropFirst().first.map(String.init) ?? "")
        }
    }

    private func limited(
        account: String, address: String, _ check: () async throws -> (kind: String, id: String)
    ) async throws -> Session {
        // All keys would share one account; their length alone keeps them from being guessed.
        let counted = account == "key" ? "key from \(address)" : account
        try loginLimits.admit(account: counted, address: address, at: world.clock.monotonic())
        do {
            let (kind, id) = try await check()
            loginLimits.noteSuccess(account: counted)
            let session = try await openSession(kind: kind, id: id, address: address)
            await auditLogin(session.principal.name, address, outcome: "ok")
            return session
        } catch let problem as Problem where problem.code == .unauthenticated {
            loginLimits.noteFailure(account: counted, address: address, at: world.clock.monotonic())
            await auditLogin(account == "key" ? "key" : "user:\(account)", address, outcome: problem.code.rawValue)
            throw problem
        }
    }

    private func auditLogin(_ actor: String, _ address: String, outcome: String) async {
        do {
            try await store.write { transaction in
                try transaction.appendAudit(
                    AuditEntry(
                        time: transaction.now, actor: actor, action: "login", resourceKind: "session", resourceId: nil,
                        address: address, outcome: outcome, body: .null))
            }
        } catch {
            logger.error("A login could not be noted in the audit log.", metadata: ["error": "\(error)"])
        }
    }

    private func openSession(kind: String, id: String, address: String) async throws -> Session {
        let token = world.random.hex(32)
        let cell: JSONValue = ["kind": .string(kind), "id": .string(id)]
        let expires = world.clock.now().advanced(by: Self.sessionLifetime)
        try await store.write { try $0.putCell("session", Self.cellKey(token), cell, expires: expires) }
        guard let session = try await session(token, address: address) else { throw Self.refusedLogin }
        return session
    }

    /// The session of a cookie; nil when there is none, it has ended, or its user or key is gone. Using a session
    /// prolongs it.
    public func session(_ token: String, address: String) async throws -> Session? {
        guard token.utf8.count == 64 else { return nil }
        let key = Self.cellKey(token)
        let found = try await store.read { transaction -> (cell: JSONValue, record: ResourceRecord)? in
            guard let cell = try transaction.cell("session", key), let kind = cell["kind"]?.stringValue,
                let id = cell["id"]?.stringValue, let record = try transaction.get(kind, id)
            else { return nil }
            return (cell, record)
        }
        guard let found, let principal = sessionPrincipal(found.record, address) else { return nil }
        let now = world.clock.now()
        await prolong(key, found.cell, now)
        return Session(
            token: token, csrfToken: Self.csrfToken(token), principal: principal,
            expires: now.advanced(by: Self.sessionLifetime))
    }

    /// Who a session stands for; see ``session(_:address:)``.
    public func principal(forSession token: String, address: String) async throws -> Principal? {
        try await session(token, address: address)?.principal
    }

    /// Ends a session.
    public func logout(_ token: String) async throws {
        try await store.write { try $0.removeCell("session", Self.cellKey(token)) }
    }

    /// Whether a form's token is the session's.
    public func isValidCSRF(_ csrfToken: String, session token: String) -> Bool {
        constantTimeEqual(csrfToken, Self.csrfToken(token))
    }

    private func sessionPrincipal(_ record: ResourceRecord, _ address: String) -> Principal? {
        guard record.kind == "user" else { return principal(of: record, address) }
        return Principal(
            name: "user:\(record.spec["email"]?.stringValue ?? record.id)",
            scopes: scopes(ofRole: record.spec["role"]?.stringValue ?? ""), brands: Self.brands(record.spec["brands"]),
            address: address)
    }

    /// Stored at most every ten minutes: a page view is not worth a disk write.
    private func prolong(_ key: String, _ cell: JSONValue, _ now: Timestamp) async {
        let last = cell["used_ms"]?.intValue ?? 0
        guard now.millisecondsSinceEpoch - last > 600_000 else { return }
        var cell = cell
        cell["used_ms"] = .int(now.millisecondsSinceEpoch)
        let used = cell
        do {
            try await store.write { transaction in
                // A logout in the meantime must win.
                guard try transaction.cell("session", key) != nil else { return }
                try transaction.putCell("session", key, used, expires: now.advanced(by: Self.sessionLifetime))
            }
        } catch {
            logger.warning("A session could not be prolonged.", metadata: ["error": "\(error)"])
        }
    }

    private static func cellKey(_ token: String) -> String { sha256Hex(Array("session \(token)".utf8)) }
    private static func csrfToken(_ token: String) -> String { sha256Hex(Array("csrf \(token)".utf8)) }
}

/// The cookie that holds a session's token.
public enum SessionCookie {
    public static let name = "roost_session"

    /// The header that stores a token in a browser.
    public static func header(_ token: String, isSecure: Bool) -> String {
        "\(name)=\(token); Path=/; HttpOnly; SameSite=Lax; Max-Age=\(Hub.sessionLifetime.milliseconds / 1000)"
            + (isSecure ? "; Secure" : "")
    }

    /// The header that removes the token.
    public static let removal = "\(name)=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
}
