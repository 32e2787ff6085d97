import AccessResources
import AgentProtocol
import Host
import HubStore
public import Model
import ResourceKit

/// The second step of a login: codes of an app, and recovery codes for the day that the phone is lost.
///
/// A user enrols in two steps, so that nobody is shut out by a secret that no app has: the new secret counts only when
/// a code of it came back.
extension Hub {
    private static let recoveryCodes = 10

    /// Begins to enrol the caller.
    /// - Returns: the secret, and the `otpauth` URI that apps read as a QR code; both are shown only here.
    /// - Throws: `forbidden` unless the caller is a user; `conflict` when a second factor is there already.
    public func enrolSecondFactor(as principal: Principal) async throws -> JSONValue {
        let secret = world.random.bytes(20)
        let text = TimedCode.base32(secret)
        let sealed = try world.secrets.seal(text)
        let email = try await changeAccount("enrol-totp", principal) { user, _ in
            guard user.state["totp_secret"] == nil else {
                throw Problem(
                    .conflict, "A second factor is there already.", hint: "Take it away first, with one of its codes.")
            }
            user.state["totp_pending"] = .string(sealed)
        }
        let label = email.utf8.map { Self.isPlain($0) ? String(Unicode.Scalar($0)) : Self.escaped($0) }.joined()
        return [
            "secret": .string(text),
            "uri": .string("otpauth://totp/Roost:\(label)?secret=\(text)&issuer=Roost&digits=6&period=30"),
        ]
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45 || byte == 46
    }

    private static func escaped(_ byte: UInt8) -> String {
        "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }

    /// Ends the enrolment with a code of the new secret.
    /// - Returns: recovery codes, each good once; shown only here.
    /// - Throws: `forbidden`, `conflict` without an enrolment, `invalid` for a wrong code, `rate_limited`.
    public func confirmSecondFactor(_ code: String, as principal: Principal) async throws -> JSONValue {
        let codes = (0..<Self.recoveryCodes).map { _ in
            let text = world.random.hex(5)
            return "\(text.prefix(5))-\(text.suffix(5))"
        }
        let hashes = codes.map { JSONValue.string(Self.recoveryHash($0)) }
        let secrets = world.secrets
        try await limitedCode(principal) {
            _ = try await changeAccount("confirm-totp", principal) { user, now in
                guard let sealed = user.state["totp_pending"]?.stringValue,
                    let secret = TimedCode.bytes(base32: try secrets.open(sealed))
                else { throw Problem(.conflict, "There is no enrolment to confirm.", hint: "Begin one first.") }
                guard let step = TimedCode.match(code, secret: secret, at: now, after: 0) else {
                    throw Self.wrongCode
                }
                user.state["totp_secret"] = .string(sealed)
                user.state["totp_pending"] = nil
                user.state["totp_last_step"] = .int(step)
                user.state["totp_enabled"] = true
                user.state["recovery_hashes"] = .array(hashes)
                // What was opened without the second factor is worth less than it from now on.
                User.endSessions(of: &user)
            }
        }
        return ["recovery_codes": .array(codes.map { .string($0) })]
    }

    /// Takes the second factor away; a code of it, or a recovery code, must prove that it is the caller's.
    /// - Throws: `forbidden`, `conflict` without one, `invalid` for a wrong code, `rate_limited`.
    public func removeSecondFactor(_ code: String, as principal: Principal) async throws {
        let secrets = world.secrets
        try await limitedCode(principal) {
            _ = try await changeAccount("remove-totp", principal) { user, now in
                guard user.state["totp_secret"] != nil else {
                    throw Problem(.conflict, "There is no second factor.")
                }
                guard try Self.spend(code, of: &user, at: now, secrets) else { throw Self.wrongCode }
                for name in ["totp_secret", "totp_pending", "totp_last_step", "recovery_hashes"] {
                    user.state[name] = nil
                }
                user.state["totp_enabled"] = false
                User.endSessions(of: &user)
            }
        }
    }

    static let wrongCode = Problem.invalid("code", "is wrong, or was used already")

    /// Uses a code up. Whoever saw it being typed has nothing of it.
    static func spend(
        _ code: String, of user: inout ResourceRecord, at now: Timestamp, _ secrets: any SecretBox
    ) throws -> Bool {
        guard code.utf8.count <= 32, let sealed = user.state["totp_secret"]?.stringValue,
            let secret = TimedCode.bytes(base32: try secrets.open(sealed))
        else { return false }
        let last = user.state["totp_last_step"]?.intValue ?? 0
        if let step = TimedCode.match(code, secret: secret, at: now, after: last) {
            user.state["totp_last_step"] = .int(step)
            return true
        }
        let hash = JSONValue.string(recoveryHash(code.lowercased()))
        var hashes = user.state["recovery_hashes"]?.arrayValue ?? []
        guard let index = hashes.firstIndex(of: hash) else { return false }
        hashes.remove(at: index)
        user.state["recovery_hashes"] = .array(hashes)
        return true
    }

    /// Recovery codes are random, so a plain hash keeps them.
    private static func recoveryHash(_ code: String) -> String { sha256Hex(Array("recovery \(code)".utf8)) }

    /// Counts wrong codes and passwords as failed logins.
    func limitedCode(_ principal: Principal, _ body: () async throws -> Void) async throws {
        let account = "code \(principal.name)"
        try loginLimits.admit(account: account, address: principal.address, at: world.clock.monotonic())
        do {
            try await body()
            loginLimits.noteSuccess(account: account)
        } catch let problem as Problem where problem == Self.wrongCode || problem == Self.wrongPassword {
            loginLimits.noteFailure(account: account, address: principal.address, at: world.clock.monotonic())
            throw problem
        }
    }

    /// Changes the caller's own user, with an entry of the audit log; answers the email. When that ends the user's
    /// sessions, the caller's own goes on.
    func changeAccount(
        _ action: String, _ principal: Principal,
        _ change: @escaping @Sendable (inout ResourceRecord, Timestamp) throws -> Void
    ) async throws -> String {
        let email = try Self.email(of: principal)
        return try await write { transaction in
            var user = try Self.ownUser(email, transaction)
            let (id, epoch) = (user.id, User.sessionEpoch(of: user))
            try change(&user, transaction.now)
            _ = try transaction.put(user)
            if epoch != User.sessionEpoch(of: user) {
                try Self.carrySession(of: principal, into: User.sessionEpoch(of: user), transaction)
            }
            try transaction.appendAudit(
                AuditEntry(
                    time: transaction.now, actor: principal.name, actorId: principal.id, action: action,
                    resourceKind: "user", resourceId: id, address: principal.address, outcome: "ok", body: .null))
            return email
        }
    }
}

extension Problem.Code {
    /// The password was right, and a code of the second factor must come with it.
    public static let totpRequired = Self("totp_required")
}
