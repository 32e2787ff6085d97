import AccessResources
import HubStore
public import Model
import ResourceKit

/// What users change of themselves.
extension Hub {
    static let wrongPassword = Problem.invalid("current_password", "is wrong")

    /// What an account page shows: `email`, `role`, `totp_enabled`.
    /// - Throws: `forbidden` unless the caller is a user.
    public func account(of principal: Principal) async throws -> JSONValue {
        let email = try Self.email(of: principal)
        let user = try await store.read { try Self.ownUser(email, $0) }
        return [
            "id": .string(user.id), "email": user.spec["email"] ?? .null, "role": user.spec["role"] ?? .null,
            "totp_enabled": .bool(user.state["totp_secret"] != nil),
            "recovery_codes_left": .int(Int64(user.state["recovery_hashes"]?.arrayValue?.count ?? 0)),
        ]
    }

    /// Gives the caller another password, and ends all sessions of the user but the caller's own.
    /// - Throws: `forbidden` unless the caller is a user; `invalid` for a wrong current password or one that will not
    ///   do; `rate_limited`.
    public func changePassword(from current: String, to password: String, as principal: Principal) async throws {
        let email = try Self.email(of: principal)
        if let flaw = User.passwordFlaw(password) { throw Problem.invalid("password", flaw) }
        try await limitedCode(principal) {
            let stored = try await store.read { try Self.ownUser(email, $0) }.spec["password"]
            let hash = try stored?.stringValue.map { try world.secrets.open($0) }
            guard try await passwords.verify(current, hash: hash) else { throw Self.wrongPassword }
            let sealed = try world.secrets.seal(try await passwords.hash(password, random: world.random))
            _ = try await changeAccount("change-password", principal) { user, _ in
                // Somebody else changed it meanwhile: what was checked is no longer the password.
                guard user.spec["password"] == stored else { throw Self.wrongPassword }
                user.spec["password"] = .string(sealed)
                User.endSessions(of: &user)
            }
        }
    }

    /// - Throws: `forbidden` unless the caller is a user.
    public func requireAccount(_ principal: Principal) throws { _ = try Self.email(of: principal) }

    static func email(of principal: Principal) throws -> String {
        guard principal.name.hasPrefix("user:") else {
            throw Problem(.forbidden, "Only a user who is logged in has an account.")
        }
        return String(principal.name.dropFirst(5))
    }

    static func ownUser(_ email: String, _ transaction: any StoreTransaction) throws -> ResourceRecord {
        guard let id = try transaction.claimHolder("user/\(email.lowercased())"),
            let user = try transaction.get("user", id)
        else { throw Problem(.forbidden, "The user is gone.") }
        return user
    }

    /// Lets the caller's own session outlive the others.
    static func carrySession(
        of principal: Principal, into epoch: Int64, _ transaction: any StoreTransaction
    ) throws {
        guard let key = principal.sessionKey, var cell = try transaction.cell("session", key) else { return }
        cell["epoch"] = .int(epoch)
        try transaction.putCell("session", key, cell, expires: transaction.now.advanced(by: sessionLifetime))
    }
}
