import AccessResources
import Model
import ResourceKit
import Testing

@Suite struct AccessKindsTests {
    @Test(arguments: ["*:*", "services:read", "install-tokens:delete", "*:read", "stacks:*"])
    func acceptsScopes(_ scope: String) { #expect(APIKey.scopeFlaw(scope) == nil) }

    @Test(arguments: ["", "*", "services", "services:", ":read", "services:frob", "a:b:c", "Services:read", "a b:read"])
    func refusesScopes(_ scope: String) { #expect(APIKey.scopeFlaw(scope) != nil) }

    @Test func findsTheIdInAKey() {
        let key = APIKey.text(id: "7d9a0c1e-3b1f-4a57-9d3c-0a3c8f3f3c11", secret: String(repeating: "a", count: 32))
        #expect(APIKey.id(in: key) == "7d9a0c1e-3b1f-4a57-9d3c-0a3c8f3f3c11")
    }

    @Test(arguments: ["", "roost_", "roost__", "roost_x_short", "other_x_" + String(repeating: "a", count: 32)])
    func findsNoIdInOtherText(_ text: String) { #expect(APIKey.id(in: text) == nil) }

    @Test(arguments: ["ada@example.org", "a.b+c@example.co.uk"])
    func acceptsAddresses(_ text: String) { #expect(User.emailFlaw(text) == nil) }

    @Test(arguments: [
        "", "ada", "@example.org", "ada@", "a b@example.org", "a@b@c", "ada@exa mple.org", "a\n@example.org",
    ])
    func refusesAddresses(_ text: String) { #expect(User.emailFlaw(text) != nil) }

    @Test func passwordIsHashedAndSecret() throws {
        let field = try #require(userKind.fields.first { $0.name == "password" })
        #expect(field.isHashed && field.isSecret)
    }

    @Test func emailIsClaimedWithoutCase() {
        let time = Timestamp(millisecondsSinceEpoch: 0)
        let user = ResourceRecord(
            kind: "user", id: "1", status: .active, spec: ["email": "Ada@Example.org"], createdAt: time, updatedAt: time
        )
        #expect(userKind.claims(user) == ["user/ada@example.org"])
    }
}
