import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// Codes by time, and logins that need them.
@Suite struct SecondFactorTests {
    let fixture: HubFixture
    var hub: Hub { fixture.hub }
    private static let email = "ada@example.org"

    init() throws { fixture = try HubFixture() }

    /// The vectors of RFC 6238 appendix B, of which apps show the last six digits.
    @Test(arguments: [
        (59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (1_234_567_890, "005924"),
        (2_000_000_000, "279037"), (20_000_000_000, "353130"),
    ]) func makesTheCodesOfTheStandard(seconds: Int64, code: String) {
        let secret = Array("12345678901234567890".utf8)
        let step = TimedCode.step(at: Timestamp(millisecondsSinceEpoch: seconds * 1000))
        #expect(TimedCode.code(secret: secret, step: step) == code)
    }

    @Test func writesSecretsAsAppsTakeThem() {
        #expect(TimedCode.base32(Array("foobar".utf8)) == "MZXW6YTBOI")
        #expect(TimedCode.bytes(base32: "MZXW6YTBOI") == Array("foobar".utf8))
        #expect(TimedCode.bytes(base32: "MZXW6!") == nil)
    }

    private func code(_ secret: String) throws -> String {
        let bytes = try #require(TimedCode.bytes(base32: secret))
        return TimedCode.code(secret: bytes, step: TimedCode.step(at: fixture.clock.now()))
    }

    private func logIn(_ code: String? = nil) async throws -> Session {
        try await hub.login(email: Self.email, password: "correct horse", code: code, address: "192.0.2.1")
    }

    /// A user who has enrolled; the secret, recovery codes and a session.
    private func enrolled() async throws -> (secret: String, recovery: [String], session: Session) {
        try await fixture.make("user", ["email": .string(Self.email), "password": "correct horse", "role": "viewer"])
        let session = try await logIn()
        let secret = try #require(
            try await hub.enrolSecondFactor(as: session.principal)["secret"]?.stringValue)
        let wrong = try await problem { _ = try await hub.confirmSecondFactor("000000", as: session.principal) }
        #expect(wrong.code == .invalid)
        // Nobody is shut out by an enrolment that was not ended.
        _ = try await logIn()
        let answer = try await hub.confirmSecondFactor(try code(secret), as: session.principal)
        let recovery = answer["recovery_codes"]?.arrayValue?.compactMap(\.stringValue) ?? []
        #expect(recovery.count == 10 && Set(recovery).count == 10)
        return (secret, recovery, session)
    }

    @Test func asksForTheCodeAndTakesEachOnce() async throws {
        let (secret, recovery, _) = try await enrolled()
        #expect(try await problem { _ = try await logIn() }.code == .totpRequired)
        let used = try code(secret)
        #expect(try await problem { _ = try await logIn(used) }.code == .unauthenticated, "the confirmation used it")
        fixture.clock.move(.seconds(60))
        let fresh = try code(secret)
        #expect(try await logIn(fresh).principal.name == "user:\(Self.email)")
        #expect(try await problem { _ = try await logIn(fresh) }.code == .unauthenticated)
        #expect(try await logIn(recovery[0]).principal.name == "user:\(Self.email)")
        #expect(try await problem { _ = try await logIn(recovery[0]) }.code == .unauthenticated)
        #expect(try await logIn(recovery[1].uppercased()).principal.name == "user:\(Self.email)")
    }

    @Test func aTicketStandsForThePassword() async throws {
        let (secret, _, _) = try await enrolled()
        let ticket = try await hub.secondStepTicket(email: Self.email)
        fixture.clock.move(.seconds(60))
        let wrong = try await problem { _ = try await hub.login(ticket: ticket, code: "1", address: "x") }
        #expect(wrong.code == .unauthenticated && wrong.hint == nil)
        let session = try await hub.login(ticket: ticket, code: try code(secret), address: "x")
        #expect(session.principal.name == "user:\(Self.email)")
        fixture.clock.move(.seconds(60))
        let again = try await problem {
            _ = try await hub.login(ticket: ticket, code: try code(secret), address: "x")
        }
        #expect(again.code == .unauthenticated && again.hint != nil)
    }

    @Test func guessesAreLimited() async throws {
        let (secret, _, _) = try await enrolled()
        fixture.clock.move(.seconds(60))
        var codes: Set<String> = []
        for number in 0..<12 { codes.insert(try await problem { _ = try await logIn("\(number)") }.code.rawValue) }
        #expect(codes == ["unauthenticated", "rate_limited"])
        #expect(try await problem { _ = try await logIn(try code(secret)) }.code == .rateLimited)
    }

    @Test func isTakenAwayByACodeOrByAnAdministrator() async throws {
        let (secret, recovery, session) = try await enrolled()
        let wrong = try await problem { try await hub.removeSecondFactor("1", as: session.principal) }
        #expect(wrong.code == .invalid)
        fixture.clock.move(.seconds(60))
        try await hub.removeSecondFactor(try code(secret), as: session.principal)
        #expect(try await logIn().principal.name == "user:\(Self.email)")
        // Without a second factor a code is not looked at.
        #expect(try await logIn(recovery[0]).principal.name == "user:\(Self.email)")
    }

    @Test func nobodyTakesOverWhoMayMore() async throws {
        let (_, _, _) = try await enrolled()
        let kind = try fixture.kind("user")
        let admin = try await fixture.make("user", ["email": "root@example.org", "role": "admin"])
        let reset = try #require(kind.actions.first { $0.name == "reset-totp" })
        let refused = try await problem {
            _ = try await hub.perform(reset, on: kind, id: admin, as: .scoped("users:write"))
        }
        #expect(refused.code == .forbidden)
        let answer = try await hub.perform(reset, on: kind, id: admin, as: .local)
        #expect(answer.body["totp_enabled"] == false)
        // A key with few rights cannot make the text of a key with many anew.
        let key = try await hub.create(
            try fixture.kind("api-key"), body: ["name": "all", "scopes": ["*:*"], "brands": ["*"]], as: .local)
        let rotate = try #require(try fixture.kind("api-key").actions.first)
        let stolen = try await problem {
            _ = try await hub.perform(
                rotate, on: try fixture.kind("api-key"), id: key.body["id"]?.stringValue ?? "",
                as: .scoped("api-keys:write"))
        }
        #expect(stolen.code == .forbidden)
    }
}
