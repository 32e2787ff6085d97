import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// What a user changes of themselves, and which sessions are left after it.
@Suite struct AccountTests {
    let fixture: HubFixture
    var hub: Hub { fixture.hub }
    private static let (email, password) = ("ada@example.org", "correct horse")

    init() throws { fixture = try HubFixture() }

    private func logIn(_ password: String = Self.password, code: String? = nil) async throws -> Session {
        try await hub.login(email: Self.email, password: password, code: code, address: "192.0.2.1")
    }

    private func isOpen(_ session: Session) async throws -> Bool {
        try await hub.session(session.token, address: "192.0.2.1") != nil
    }

    private func makeUser() async throws -> String {
        try await fixture.make("user", ["email": .string(Self.email), "password": .string(Self.password)])
    }

    @Test func aNewPasswordEndsTheOtherSessions() async throws {
        _ = try await makeUser()
        let (own, other) = (try await logIn(), try await logIn())
        let wrong = try await problem {
            try await hub.changePassword(from: "wrong horse", to: "battery staple", as: own.principal)
        }
        #expect(wrong.fields["current_password"] != nil)
        let short = try await problem {
            try await hub.changePassword(from: Self.password, to: "short", as: own.principal)
        }
        #expect(short.fields["password"] != nil)
        #expect(try await isOpen(other))
        try await hub.changePassword(from: Self.password, to: "battery staple", as: own.principal)
        #expect(try await isOpen(own))
        #expect(try await isOpen(other) == false)
        #expect(try await problem { _ = try await logIn() }.code == .unauthenticated)
        // The session that went on can do it again, and still goes on.
        try await hub.changePassword(from: "battery staple", to: "battery staple 2", as: own.principal)
        #expect(try await isOpen(own))
        #expect(try await isOpen(try await logIn("battery staple 2")))
        let audit = try await hub.auditLog(as: .local).filter { $0.action == "change-password" }
        #expect(audit.count == 2 && audit.allSatisfy { $0.actor == "user:\(Self.email)" })
    }

    @Test func anAdministratorsChangeEndsAll() async throws {
        let id = try await makeUser()
        let user = try fixture.kind("user")
        var session = try await logIn()
        _ = try await hub.update(user, id: id, body: ["role": "operator"], as: .local)
        #expect(try await isOpen(session), "a role is looked at anew with each request")
        _ = try await hub.update(user, id: id, body: ["password": "battery staple"], as: .local)
        #expect(try await isOpen(session) == false)
        session = try await logIn("battery staple")
        _ = try await hub.update(user, id: id, body: ["is_disabled": true], as: .local)
        #expect(try await isOpen(session) == false)
        #expect(try await problem { _ = try await logIn("battery staple") }.code == .unauthenticated)
        _ = try await hub.update(user, id: id, body: ["is_disabled": false], as: .local)
        #expect(try await isOpen(session) == false, "what has ended does not begin again")
        #expect(try await isOpen(try await logIn("battery staple")))
    }

    @Test func aSecondFactorEndsWhatWasOpenedWithout() async throws {
        let id = try await makeUser()
        let (own, other) = (try await logIn(), try await logIn())
        let secret = try #require(try await hub.enrolSecondFactor(as: own.principal)["secret"]?.stringValue)
        #expect(try await isOpen(other), "nothing has changed yet")
        let bytes = try #require(TimedCode.bytes(base32: secret))
        let code = TimedCode.code(secret: bytes, step: TimedCode.step(at: fixture.clock.now()))
        let recovery = try await hub.confirmSecondFactor(code, as: own.principal)["recovery_codes"]?.arrayValue ?? []
        #expect(try await isOpen(own))
        #expect(try await isOpen(other) == false)
        #expect(try await hub.account(of: own.principal)["recovery_codes_left"] == 10)
        // A ticket stands for the password of its time.
        let ticket = try await hub.secondStepTicket(email: Self.email)
        _ = try await hub.update(
            try fixture.kind("user"), id: id, body: ["password": "battery staple"], as: .local)
        let late = try await problem {
            _ = try await hub.login(ticket: ticket, code: recovery[0].stringValue ?? "", address: "192.0.2.1")
        }
        #expect(late.code == .unauthenticated)
    }

    @Test func keysHaveNoAccount() async throws {
        #expect(try await problem { _ = try await hub.account(of: .local) }.code == .forbidden)
        let refused = try await problem {
            try await hub.changePassword(from: "a", to: "battery staple", as: .local)
        }
        #expect(refused.code == .forbidden)
    }
}
