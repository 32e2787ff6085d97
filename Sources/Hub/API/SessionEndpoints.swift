import HTTPTypes
import HubCore
import Hummingbird
import Model

extension HubAPI {
    func sessionEndpoints() -> [Endpoint] {
        var login = Operation(
            id: "login", tag: "session",
            summary: "Log in with email and password, or with an API key, and get a session cookie.")
        login.body = Schema.reference("login")
        login.isBodyRequired = true
        login.answers = [(200, Schema.reference("session"))]
        let accounts = accountEndpoints()
        var logout = Operation(id: "logout", tag: "session", summary: "End the session of the cookie or bearer token.")
        logout.answers = [(204, nil)]
        return [
            Endpoint(method: .post, path: "\(Self.base)/login", access: .anyone, operation: login) {
                try await logIn($0)
            },
            Endpoint(method: .post, path: "\(Self.base)/logout", access: .anyone, operation: logout) { request in
                try request.expectNoPlan()
                // Needs no proof: who can send the cookie may end it, and who cannot ends nothing.
                for token in [Self.sessionToken(in: request.request), Self.bearerSession(in: request.request)] {
                    if let token { try await hub.logout(token, address: request.address) }
                }
                return Answers.empty(.noContent, headers: [.setCookie: SessionCookie.removal])
            },
        ] + accounts
    }

    private func logIn(_ request: APIRequest) async throws -> Response {
        try request.expectNoPlan()
        let body = try await request.json(limit: 16_384)
        guard let members = body.objectValue else { throw Problem(.invalid, "The body must be a JSON object.") }
        for name in members.keys.sorted() where !["email", "password", "code", "key", "bearer"].contains(name) {
            throw Problem.invalid(String(name.prefix(80)), "is not a known field")
        }
        let session: Session
        let bearer = members["bearer"] ?? false
        guard let isBearer = bearer.boolValue else { throw Problem.invalid("bearer", "must be true or false") }
        if let key = members["key"] {
            guard let key = key.stringValue, Set(members.keys).isSubset(of: ["key", "bearer"]) else {
                throw Problem.invalid("key", "must be a string, and stand alone")
            }
            session = try await hub.loginWithKey(key, address: request.address)
        } else {
            guard let email = members["email"]?.stringValue else { throw Problem.invalid("email", "must be a string") }
            guard let password = members["password"]?.stringValue else {
                throw Problem.invalid("password", "must be a string")
            }
            if let code = members["code"], code.stringValue == nil { throw Problem.invalid("code", "must be a string") }
            session = try await hub.login(
                email: email, password: password, code: members["code"]?.stringValue, address: request.address)
        }
        guard !isBearer else {
            var answer = Self.json(of: session)
            answer["token"] = .string(session.token)
            return Answers.json(answer)
        }
        let isSecure = options.isTLS || request.request.headers[.init("X-Forwarded-Proto")!] == "https"
        return Answers.json(
            Self.json(of: session), headers: [.setCookie: SessionCookie.header(session.token, isSecure: isSecure)])
    }

    private static func json(of session: Session) -> JSONValue {
        [
            "name": .string(session.principal.name), "csrf_token": .string(session.csrfToken),
            "expires_at": .string(session.expires.rfc3339),
            "scopes": .array(session.principal.scopes.sorted().map(JSONValue.string)),
        ]
    }
}
