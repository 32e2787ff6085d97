import Model
public import ResourceKit

/// Somebody who may pass a site with basic authentication.
public let siteUserKind = ResourceKind(
    name: "site-user", plural: "site-users",
    summary: "Somebody who may pass a site by password (basic authentication).",
    identity: .uuid, parent: .init(kind: "site", field: "site_id", segment: "users"), isAsynchronous: false,
    fields: [
        Field(
            "username", .string(check: usernameFlaw), "Login name; unique below its site.", required: true,
            immutable: true, example: "ada"),
        Field(
            "password", .string(check: passwordFlaw), "8 characters to 72 bytes; stored as a bcrypt hash.",
            required: true, hashed: true),
    ],
    claims: { ["site-user/\($0.parentId ?? "")/\($0.spec["username"]?.stringValue ?? "")"] },
    columns: ["username"], searched: ["username"], behaviour: SiteUserBehaviour())

/// RFC 7617 section 2 refuses a colon; the name also stands in a header field.
@Sendable private func usernameFlaw(_ text: String) -> String? {
    guard (1...128).contains(text.utf8.count) else { return "must have 1 to 128 characters" }
    let isSound = text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ":") }
    return isSound ? nil : "must be plain ASCII without spaces and colons"
}

@Sendable private func passwordFlaw(_ text: String) -> String? {
    guard text.utf8.count <= 72 else { return "must have at most 72 bytes" }
    return text.count < 8 ? "must have at least 8 characters" : nil
}

struct SiteUserBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try Sites.bring(record.parentId, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try Sites.bring(new.parentId, transaction)
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        try Sites.bring(record.parentId, transaction)
        return true
    }
}
