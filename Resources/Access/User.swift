import Model
public import ResourceKit

/// A person who may log in.
public let userKind = ResourceKind(
    name: "user", plural: "users", summary: "A person who may log in to the dashboard.",
    identity: .uuid, isAsynchronous: false, isPlatformOnly: true,
    fields: [
        Field(
            "email", .string(check: User.emailFlaw), "Login name; unique.", required: true,
            example: "ada@example.org"),
        Field(
            "password", .string(check: User.passwordFlaw), "At least 8 characters; without one the user cannot log in.",
            hashed: true),
        Field(
            "role", .choice(["admin", "operator", "viewer"]),
            "admin may do everything, operator all but access, viewer only look.", default: "viewer"),
        Field(
            "brands", .list(of: .string(check: APIKey.brandFlaw), countMax: 1000),
            "Which brands the user may touch; * is all.", default: ["*"]),
        Field("is_disabled", .boolean, "Whether the user cannot log in; ends all sessions.", default: false),
    ],
    reported: [Field("totp_enabled", .boolean, "Whether logins need a code of an app as well.")],
    claims: { ["user/\($0.spec["email"]?.stringValue?.lowercased() ?? "")"] },
    actions: [
        ResourceAction(
            "reset-totp", "Take the second factor away, for somebody who lost it.", isDestructive: true)
    ],
    columns: ["email", "role", "totp_enabled", "is_disabled"], searched: ["email"], behaviour: UserBehaviour())

struct UserBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try APIKey.checkBrands(of: record, known: nil, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try APIKey.checkBrands(of: new, known: old, transaction)
        guard old.spec["password"] != new.spec["password"] || new.spec["is_disabled"] == true else { return }
        var user = new
        User.endSessions(of: &user)
        _ = try transaction.put(user)
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        var record = record
        for name in ["totp_secret", "totp_pending", "totp_last_step", "recovery_hashes"] { record.state[name] = nil }
        record.state["totp_enabled"] = false
        // Whoever has the lost thing may have a session as well.
        User.endSessions(of: &record)
        return try transaction.put(record)
    }
}

/// What a user's fields may hold.
public enum User {
    /// Ends every session that was opened so far: each holds the number of its time.
    public static func endSessions(of user: inout ResourceRecord) {
        user.state["session_epoch"] = .int(sessionEpoch(of: user) + 1)
    }

    /// What a session of the user must hold to be one.
    public static func sessionEpoch(of user: ResourceRecord) -> Int64 { user.state["session_epoch"]?.intValue ?? 0 }

    /// Why a text is no password for a user.
    @Sendable public static func passwordFlaw(_ text: String) -> String? {
        guard text.utf8.count <= 72 else { return "must have at most 72 bytes" }
        return text.count < 8 ? "must have at least 8 characters" : nil
    }

    /// Why a text is no email address; only what is plainly wrong is refused.
    @Sendable public static func emailFlaw(_ text: String) -> String? {
        let flaw = "must be an email address"
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, text.utf8.count <= 254, !parts[0].isEmpty, parts[0].utf8.count <= 64 else {
            return flaw
        }
        let local = parts[0].utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !Array("()<>[],;:\\\"".utf8).contains($0) }
        return local && Names.hostnameFlaw(String(parts[1])) == nil ? nil : flaw
    }
}
