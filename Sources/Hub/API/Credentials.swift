import HTTPTypes
import HubCore
import Hummingbird
import Model

extension HubAPI {
    /// Who sends a request: the bearer of an API key, or a person with a session. A session needs its CSRF token for
    /// everything but reading.
    func principal(of request: Request, _ address: String) async throws -> Principal {
        // A session's token that a program holds itself; no browser sends it by itself, so it needs no other proof.
        if let token = Self.bearerSession(in: request) {
            guard let principal = try await hub.principal(forSession: token, address: address) else {
                throw Problem(.unauthenticated, "The session has ended.", hint: "Log in again.")
            }
            return principal
        }
        if let key = Self.apiKey(in: request) { return try await hub.authenticate(apiKey: key, address: address) }
        guard let token = Self.sessionToken(in: request) else {
            throw Problem(
                .unauthenticated, "An API key is needed.",
                hint: "Send it as \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\".")
        }
        guard let principal = try await hub.principal(forSession: token, address: address) else {
            throw Problem(.unauthenticated, "The session has ended.", hint: "Log in again.")
        }
        if request.method != .get, request.method != .head {
            guard let proof = request.headers[.init("X-CSRF-Token")!], hub.isValidCSRF(proof, session: token) else {
                throw Problem(.forbidden, "The header X-CSRF-Token must hold the token that the login answered.")
            }
        }
        return principal
    }

    static func apiKey(in request: Request) -> String? {
        if let key = request.headers[.init("X-API-Key")!] { return key }
        guard let header = request.headers[.authorization] else { return nil }
        let words = header.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "bearer" else { return "" }
        return String(words[1])
    }

    /// The token of a session that stands where an API key would; keys are of another length.
    static func bearerSession(in request: Request) -> String? {
        Self.apiKey(in: request).flatMap { $0.utf8.count == 64 ? $0 : nil }
    }

    static func sessionToken(in request: Request) -> String? {
        for header in request.headers[values: .cookie] {
            for pair in header.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                if parts.count == 2, parts[0].trimmingSpaces == SessionCookie.name { return parts[1].trimmingSpaces }
            }
        }
        return nil
    }
}

extension Substring {
    fileprivate var trimmingSpaces: String {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
