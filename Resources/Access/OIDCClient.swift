import AgentProtocol
import Host
import Model
public import ResourceKit

/// A program that lets people log in through the hub (OpenID Connect Core 1.0, a relying party).
public let oidcClientKind = ResourceKind(
    name: "oidc-client", plural: "oidc-clients", summary: "A program that lets people log in through this hub.",
    identity: .uuid, isAsynchronous: false, isPlatformOnly: true,
    fields: [
        Field(
            "name", .string(check: OIDCClient.nameFlaw), "What people know it as.", required: true,
            example: "Customer panel"),
        Field(
            "redirect_uris", .list(of: .string(check: OIDCClient.redirectFlaw), countMax: 20),
            "Where logins may return to; compared to the letter.", required: true,
            example: ["https://panel.example.org/callback"]),
        Field(
            "type", .choice(["confidential", "public"]),
            "Whether it can keep a secret; a program in a browser or on a phone cannot.", immutable: true,
            default: "confidential"),
    ],
    actions: [
        ResourceAction("rotate-secret", "Make a new secret and show it once.", isDestructive: true)
    ],
    columns: ["name", "type"], searched: ["name"],
    validate: { spec, flaws in
        if spec["redirect_uris"]?.arrayValue?.isEmpty == true {
            flaws.add("redirect_uris", "must have at least one entry")
        }
    }, behaviour: OIDCClientBehaviour())

struct OIDCClientBehaviour: KindBehaviour {
    func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue] {
        guard record.spec["type"] != "public" else { return [:] }
        let secret = "rcs_\(world.random.hex(32))"
        record.state["secret_sha256"] = .string(sha256Hex(Array(secret.utf8)))
        return ["client_id": .string(record.id), "client_secret": .string(secret)]
    }
}

/// What clients may be called and where they may be.
enum OIDCClient {
    @Sendable static func nameFlaw(_ text: String) -> String? {
        text.isEmpty ? "must not be empty" : Names.lineFlaw(text, bytesMax: 200)
    }

    /// `https`, or `http` on the person's own machine (RFC 8252 section 7.3); no fragment (RFC 6749 section 3.1.2).
    @Sendable static func redirectFlaw(_ text: String) -> String? {
        let flaw = "must be an https address without a user or fragment, or http on 127.0.0.1, [::1] or localhost"
        guard text.utf8.count <= 1000, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            !text.contains(where: { "#\\\"<>`{}|^".contains($0) })
        else { return flaw }
        guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { return flaw }
        let authority = text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" }
        guard !authority.isEmpty, !authority.contains("@"), !authority.hasPrefix(":") else { return flaw }
        guard scheme == "http://" else { return nil }
        let isBracketed = authority.hasPrefix("[")
        let host = isBracketed ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        return ["127.0.0.1", "localhost", "[::1]"].contains(String(host)) ? nil : flaw
    }
}
