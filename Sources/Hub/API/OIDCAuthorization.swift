import HTTPTypes
import HubCore
import Hummingbird
import Logging
import Model
import NIOCore
import ResourceKit

/// `/oidc/authorize`: a browser comes from a client and goes back to it with a code.
extension HubAPI {
    /// What may be said to a person, and what to the client that sent them.
    private enum Refusal: Error {
        /// The client or its address is not to be trusted: nobody is sent there.
        case page(String)
        case client(OIDCRefusal, redirect: String, state: String?)
    }

    func authorize(_ request: APIRequest) async -> Response {
        do {
            return try await authorized(request)
        } catch Refusal.page(let text) {
            return Self.page("This login cannot go on", text, status: .badRequest)
        } catch Refusal.client(let refusal, let redirect, let state) {
            let issuer: String
            do { issuer = try await self.issuer(request) } catch {
                return Self.page("This login cannot go on", "\(error)", status: .badRequest)
            }
            return Self.redirect(
                redirect,
                [("error", refusal.word), ("error_description", refusal.message), ("state", state), ("iss", issuer)])
        } catch let refusal as OIDCRefusal {
            return Self.page("This login cannot go on", refusal.message, status: .badRequest)
        } catch {
            let problem = Problem(wrapping: error, doing: "The login")
            logger.error(
                "A login for a client failed.",
                metadata: ["code": "\(problem.code.rawValue)", "context": "\(problem.context ?? "")"])
            return Self.page(
                "This login cannot go on", problem.description, status: Answers.status(of: problem.code))
        }
    }

    private func authorized(_ request: APIRequest) async throws -> Response {
        let isPost = request.request.method == .post
        let query = isPost ? try await Self.form(request) : request.query
        let issuer = try await issuer(request)
        guard let clientId = query["client_id"], let client = try await hub.oidcClient(clientId) else {
            throw Refusal.page("The program that sent you here is not known to this hub.")
        }
        let known = (client.spec["redirect_uris"]?.arrayValue ?? []).compactMap(\.stringValue)
        guard let redirect = query["redirect_uri"], known.contains(redirect) else {
            throw Refusal.page("The address that you should return to is not one of the program's.")
        }
        let state = query["state"]
        func refuse(_ word: String, _ message: String) -> Refusal {
            .client(OIDCRefusal(word, message), redirect: redirect, state: state)
        }
        guard query["response_type"] == "code" else {
            throw refuse("unsupported_response_type", "response_type must be code.")
        }
        guard query["request"] == nil, query["request_uri"] == nil else {
            throw refuse("request_not_supported", "Parameters must be given as they are.")
        }
        let scopes = (query["scope"] ?? "").split(separator: " ").map(String.init)
        guard scopes.contains("openid") else { throw refuse("invalid_scope", "scope must contain openid.") }
        guard query["code_challenge_method"] == "S256", let challenge = query["code_challenge"],
            challenge.utf8.count == 43
        else { throw refuse("invalid_request", "PKCE with the method S256 is required.") }
        guard (query["nonce"] ?? "").utf8.count <= 512, (state ?? "").utf8.count <= 2048 else {
            throw refuse("invalid_request", "state or nonce is too long.")
        }
        let wanted = OIDCRequest(
            clientId: clientId, clientName: client.spec["name"]?.stringValue ?? clientId, redirectURI: redirect,
            scopes: Hub.oidcScopes.filter(scopes.contains), nonce: query["nonce"], challenge: challenge)
        let prompts = Set((query["prompt"] ?? "").split(separator: " ").map(String.init))
        // Nobody is asked for a password while a session lasts, so a client that wants just that is told.
        guard !prompts.contains("login"), !prompts.contains("select_account"), query["max_age"] == nil else {
            throw refuse("login_required", "The person would have to log in anew.")
        }
        guard let subject = try await subject(request, hint: query["login_hint"]) else {
            guard !prompts.contains("none") else { throw refuse("login_required", "Nobody is logged in.") }
            return Self.login(request, isPost ? nil : request.request.uri.query)
        }
        let code = try await hub.makeOIDCCode(wanted, subject: subject, issuer: issuer)
        return Self.redirect(redirect, [("code", code), ("state", state), ("iss", issuer)])
    }

    /// A tenant by a hint, or the person who is logged in to the dashboard.
    private func subject(_ request: APIRequest, hint: String?) async throws -> OIDCSubject? {
        if let hint, hint.hasPrefix("rls_") {
            guard let subject = try await hub.takeLoginHint(hint) else {
                throw Refusal.page("The login link was used already, or is too old. Ask for a new one.")
            }
            return subject
        }
        for token in Self.dashboardSessions(in: request.request) {
            if let subject = try await hub.oidcSubject(session: token, address: request.address) { return subject }
        }
        return nil
    }

    /// The dashboard names its cookie differently when it is reached by TLS.
    private static func dashboardSessions(in request: Request) -> [String] {
        request.headers[values: .cookie].flatMap { $0.split(separator: ";") }.compactMap { pair in
            let halves = pair.split(separator: "=", maxSplits: 1)
            guard halves.count == 2 else { return nil }
            let name = halves[0].drop { $0 == " " }
            guard name == SessionCookie.name || name == "__Host-roost" else { return nil }
            return String(halves[1].filter { $0 != " " })
        }
    }

    // MARK: answers for browsers

    /// To the login page and back, over a page of our own: browsers hold the redirects after a form against the policy
    /// of the page that had the form, which lets nobody leave.
    private static func login(_ request: APIRequest, _ query: String?) -> Response {
        guard let query else {
            return page("Log in first", "Log in to the dashboard, then begin again.", status: .unauthorized)
        }
        let next = PercentCoding.encode("/oidc/continue?\(query)")
        return Answers.empty(.seeOther, headers: [.location: "/login?next=\(next)", .cacheControl: "no-store"])
    }

    static func continuing(_ request: APIRequest) -> Response {
        let query = request.request.uri.query ?? ""
        return page(
            "Logged in", "You are being sent on.", status: .ok, refresh: "/oidc/authorize?\(query)")
    }

    private static func redirect(_ uri: String, _ values: [(String, String?)]) -> Response {
        let query = values.compactMap { name, value in value.map { "\(name)=\(PercentCoding.encode($0))" } }
            .joined(separator: "&")
        let location = "\(uri)\(uri.contains("?") ? "&" : "?")\(query)"
        return Answers.empty(
            .seeOther, headers: [.location: location, .cacheControl: "no-store", .referrerPolicy: "no-referrer"])
    }

    /// A page that stands alone and can do nothing.
    private static func page(
        _ title: String, _ text: String, status: HTTPResponse.Status, refresh: String? = nil
    ) -> Response {
        let meta = refresh.map { "<meta http-equiv=\"refresh\" content=\"0;url=\($0.escapedForHTML)\">" } ?? ""
        let link = refresh.map { "<p><a href=\"\($0.escapedForHTML)\">Go on</a></p>" } ?? ""
        let html = """
            <!doctype html><html lang="en"><head><meta charset="utf-8">\(meta)
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title.escapedForHTML) · Roost</title>
            </head><body><main><h1>\(title.escapedForHTML)</h1><p>\(text.escapedForHTML)</p>\(link)</main></body></html>
            """
        return Response(
            status: status,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-store", .referrerPolicy: "no-referrer",
                .contentSecurityPolicy: "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
            ], body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    }

    /// The values of a form (application/x-www-form-urlencoded).
    static func form(_ request: APIRequest) async throws -> QueryParameters {
        let type = request.request.headers[.contentType].map(APIRequest.mediaType)
        guard type == "application/x-www-form-urlencoded" else {
            throw OIDCRefusal("invalid_request", "The body must be application/x-www-form-urlencoded.")
        }
        return try QueryParameters(String(decoding: try await request.body(limit: 16_384), as: UTF8.self))
    }
}

extension HTTPField.Name {
    static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
}
