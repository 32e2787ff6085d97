import AgentProtocol
import HTTPTypes
import HubCore
import Hummingbird
import Model

/// `/oidc/token` and `/oidc/userinfo`, for programs.
extension HubAPI {
    func token(_ request: APIRequest) async throws -> Response {
        do {
            let form = try await Self.form(request)
            guard form["grant_type"] == "authorization_code" else {
                throw OIDCRefusal("unsupported_grant_type", "grant_type must be authorization_code.")
            }
            let client = try Self.client(request, form)
            guard let code = form["code"], let redirect = form["redirect_uri"], let verifier = form["code_verifier"]
            else { throw OIDCRefusal("invalid_request", "code, redirect_uri and code_verifier are required.") }
            let tokens = try await hub.exchange(
                .init(
                    clientId: client.id, secret: client.secret, code: code, redirectURI: redirect,
                    verifier: verifier, address: request.address))
            return Answers.json(
                [
                    "access_token": .string(tokens.accessToken), "token_type": "Bearer",
                    "expires_in": .int(Hub.oidcTokenLifetime.milliseconds / 1000),
                    "id_token": .string(tokens.idToken), "scope": .string(tokens.scope),
                ], headers: [.accessControlAllowOrigin: "*"])
        } catch let refusal as OIDCRefusal {
            return Self.refused(refusal, request)
        } catch let problem as Problem where problem.code == .invalid {
            return Self.refused(OIDCRefusal("invalid_request", problem.message), request)
        }
    }

    /// `client_secret_basic`, `client_secret_post` or none, but one of them (RFC 6749 section 2.3).
    private static func client(
        _ request: APIRequest, _ form: QueryParameters
    ) throws -> (id: String, secret: String?) {
        guard let header = request.request.headers[.authorization] else {
            guard let id = form["client_id"] else { throw OIDCRefusal("invalid_client", "The client is not named.") }
            return (id, form["client_secret"])
        }
        let words = header.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "basic", form["client_secret"] == nil,
            let bytes = Base64.decode(String(words[1])), let text = String(validating: bytes, as: UTF8.self),
            let colon = text.firstIndex(of: ":"),
            let id = PercentCoding.decode(text[..<colon], plusIsSpace: true),
            let secret = PercentCoding.decode(text[text.index(after: colon)...], plusIsSpace: true),
            form["client_id"] ?? id == id
        else { throw OIDCRefusal("invalid_client", "The client's credentials cannot be read.") }
        return (id, secret)
    }

    private static func refused(_ refusal: OIDCRefusal, _ request: APIRequest) -> Response {
        let isClient = refusal.word == "invalid_client"
        var headers: HTTPFields = [.accessControlAllowOrigin: "*"]
        if isClient { headers[.wwwAuthenticate] = "Basic realm=\"roost\"" }
        return Answers.json(
            ["error": .string(refusal.word), "error_description": .string(refusal.message)],
            status: isClient ? .unauthorized : .badRequest, headers: headers)
    }

    func userInfo(_ request: APIRequest) async throws -> Response {
        let words = (request.request.headers[.authorization] ?? "").split(separator: " ")
        do {
            guard words.count == 2, words[0].lowercased() == "bearer" else {
                throw OIDCRefusal("invalid_token", "Send the access token as \"Authorization: Bearer TOKEN\".")
            }
            return Answers.json(
                try await hub.userInfo(accessToken: String(words[1])), headers: [.accessControlAllowOrigin: "*"])
        } catch let refusal as OIDCRefusal {
            return Answers.json(
                ["error": .string(refusal.word), "error_description": .string(refusal.message)],
                status: .unauthorized,
                headers: [.wwwAuthenticate: "Bearer realm=\"roost\", error=\"\(refusal.word)\""])
        }
    }
}
