import AccessResources
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
    ///
    /// - Parameter code: of the second factor, or a recovery code.
    /// - Throws: `unauthenticated`; `totp_required` when all is right but that there is no code; `rate_limited` after
    ///   too many failures.
    public func login(
        email: String, password: String, code: String? = nil, address: String
    ) async throws -> Session {
        let account = String(email.lowercased().prefix(320))
        return try await limited(account: account, address: address) {
            let user = try await user(account)
            let hash = try user?.spec["password"]?.stringValue.map { try world.secrets.open($0) }
            guard try await passwords.verify(password, hash: hash), let user, user.spec["is_disabled"] != true else {
                throw Self.refusedLogin
            }
            try await requireCode(code, of: user)
            return user
        }
    }

    private func user(_ account: String) async throws -> ResourceRecord? {
        try await store.read { transaction in
            try transaction.claimHolder("user/\(account)").flatMap { try transaction.get("user", $0) }
        }
    }

    /// - Throws: `totp_required` without a code, `unauthenticated` for a wrong one.
    private func requireCode(_ code: String?, of user: ResourceRecord) async throws {
        guard user.state["totp_secret"] != nil else { return }
        guard let code else {
            throw Problem(
                .totpRequired, "The code of the second factor is needed.", hint: "Send it as \"code\" with the rest.")
        }
        let (id, secrets) = (user.id, world.secrets)
        let isGood = try await write { transaction in
            guard var user = try transaction.get("user", id),
                try Self.spend(code, of: &user, at: transaction.now, secrets)
            else { return false }
            _ = try transaction.put(user)
            return true
        }
        guard isGood else { throw Problem(.unauthenticated, "The code is wrong, or was used already.") }
    }

    private static let stepLifetime: Duration = .seconds(300)

    /// A ticket for the second step of a login whose first one was just answered with `totp_required`, so that the
    /// password need not be sent again.
    public func secondStepTicket(email: String) async throws -> String {
        let token = world.random.hex(32)
        let account = String(email.lowercased().prefix(320))
        let expires = world.clock.now().advanced(by: Self.stepLifetime)
        // Worth nothing any more when the password, which it stands for, is changed.
        let epoch = try await user(account).map { User.sessionEpoch(of: $0) } ?? 0
        let cell: JSONValue = ["account": .string(account), "epoch": .int(epoch)]
        try await store.write { try $0.putCell("login_step", Self.cellKey(token), cell, expires: expires) }
        return token
    }

    /// Ends a login with the code of the second factor.
    /// - Throws: `unauthenticated`; `rate_limited` after too many failures.
    public func login(ticket: String, code: String, address: String) async throws -> Session {
        let key = Self.cellKey(ticket)
        guard let cell = try await store.read({ try $0.cell("login_step", key) }),
            let account = cell["account"]?.stringValue
        else {
            throw Problem(.unauthenticated, "The login took too long.", hint: "Begin again.")
        }
        let session = try await limited(account: account, address: address) {
            guard let user = try await user(account), user.spec["is_disabled"] != true,
                User.sessionEpoch(of: user) == cell["epoch"]?.intValue
            else { throw Self.refusedLogin }
            try await requireCode(code, of: user)
            return user
        }
        try await store.write { try $0.removeCell("login_step", key) }
        return session
    }

    /// Logs in with an API key, which then need not be kept in the browser.
    /// - Throws: `unauthenticated`; `rate_limited` after too many failures.
    public func loginWithKey(_ key: String, address: String) async throws -> Session {
        try await limited(account: "key", address: address) {
            _ = try await authenticate(apiKey: key, address: address)
            let id = APIKey.id(in: key) ?? ""
            guard let record = try await store.read({ try $0.get("api-key", id) }) else { throw Self.refusedLogin }
            return record
        }
    }

    private func limited(
        account: String, address: String, _ check: () async throws -> ResourceRecord
    ) async throws -> Session {
        // All keys would share one account; their length alone keeps them from being guessed.
        let counted = account == "key" ? "key from \(address)" : account
        try countAttempt("login", from: address)
        try loginLimits.admit(account: counted, address: address, at: world.clock.monotonic())
        do {
            let record = try await check()
            loginLimits.noteSuccess(account: counted)
            let session = try await openSession(of: record, address: address)
            await auditLogin(session.principal.name, id: record.id, address, outcome: "ok")
            return session
        } catch let problem as Problem where problem.code == .unauthenticated {
            loginLimits.noteFailure(account: counted, address: address, at: world.clock.monotonic())
            await auditLogin(
                account == "key" ? "key" : "user:\(account)", id: nil, address, outcome: problem.code.rawValue)
            throw problem
        }
    }

    private func auditLogin(_ actor: String, id: String?, _ address: String, outcome: String) async {
        do {
            try await store.write { transaction in
                try transaction.appendAudit(
                    AuditEntry(
                        time: transaction.now, actor: actor, actorId: id, action: "login", resourceKind: "session",
                        resourceId: nil, address: address, outcome: outcome, body: .null))
            }
        } catch {
            logger.error("A login could not be noted in the audit log.", metadata: ["error": "\(error)"])
        }
    }

    /// - Parameter record: as it was when the caller proved to be it: a change since then voids the session.
    private func openSession(of record: ResourceRecord, address: String) async throws -> Session {
        let token = world.random.hex(32)
        let cell: JSONValue = [
            "kind": .string(record.kind), "id": .string(record.id), "epoch": .int(User.sessionEpoch(of: record)),
        ]
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
        typealias Found = (cell: JSONValue, record: ResourceRecord, limits: [RequestLimit])
        let found = try await store.read { transaction -> Found? in
            guard let cell = try transaction.cell("session", key), let kind = cell["kind"]?.stringValue,
                let id = cell["id"]?.stringValue, let record = try transaction.get(kind, id),
                cell["epoch"]?.intValue ?? 0 == User.sessionEpoch(of: record), record.spec["is_disabled"] != true
            else { return nil }
            return (cell, record, try Self.limits(of: record, transaction))
        }
        guard let found, var principal = sessionPrincipal(found.record, address) else { return nil }
        principal.limits = found.limits
        principal.sessionKey = key
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

    /// Ends a session; nothing happens when there is none.
    public func logout(_ token: String, address: String) async throws {
        try await store.write { transaction in
            let key = Self.cellKey(token)
            guard let cell = try transaction.cell("session", key), let kind = cell["kind"]?.stringValue,
                let id = cell["id"]?.stringValue
            else { return }
            try transaction.removeCell("session", key)
            try transaction.appendAudit(
                AuditEntry(
                    time: transaction.now, actor: try transaction.get(kind, id).map(Self.name) ?? "\(kind):\(id)",
                    actorId: id, action: "logout", resourceKind: "session", resourceId: nil, address: address,
                    outcome: "ok", body: .null))
        }
    }

    /// Whether a form's token is the session's.
    public func isValidCSRF(_ csrfToken: String, session token: String) -> Bool {
        constantTimeEqual(csrfToken, Self.csrfToken(token))
    }

    private func sessionPrincipal(_ record: ResourceRecord, _ address: String) -> Principal? {
        guard record.kind == "user" else { return principal(of: record, address) }
        return Principal(
            name: Self.name(of: record), id: record.id,
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
                // A logout in the meantime must win, and a new epoch.
                guard let stored = try transaction.cell("session", key), stored["epoch"] == used["epoch"] else {
                    return
                }
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
