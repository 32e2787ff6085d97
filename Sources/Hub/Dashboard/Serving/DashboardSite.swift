import HTTPTypes
import Host
public import HubCore
public import Hummingbird
import Logging
import Model
import NIOCore
import ResourceKit

/// All pages for browsers: who asks, which page, and the answer to whatever goes wrong.
public struct DashboardSite: Sendable {
    let hub: Hub
    let configuration: DashboardConfiguration
    let templates: PageTemplates
    let assets = DashboardAssets()
    let streams = LiveStreams()

    /// - Throws: `internal_error` when a page template cannot be read.
    public init(hub: Hub, configuration: DashboardConfiguration) throws {
        self.hub = hub
        self.configuration = configuration
        templates = try PageTemplates()
    }

    var cookieName: String { configuration.isTLS ? "__Host-roost" : "roost_session" }

    /// Answers any request; what is no page gets a page that says so.
    ///
    /// - Parameter address: where it comes from, for the audit log and the limit on failed logins.
    public func respond(to request: Request, from address: String) async -> Response {
        let answer = await answer(to: request, from: address)
        var response = answer.response
        if request.method == .head { response = response.createHeadResponse() }
        return response
    }

    private func answer(to request: Request, from address: String) async -> PageAnswer {
        do {
            let head = try RequestHead(request)
            if head.path.first == "assets" { return try asset(request.uri.path) }
            if head.path.first == "api" { return apiNotFound() }
            guard request.method != .post else { return try await post(request, head, address) }
            let visit = try await visit(head, request, address)
            if head.path == ["login"] {
                return visit == nil ? loginPage(next: head.query.line("next")) : .seeOther("/")
            }
            guard let visit else { return try refused(request, head) }
            do {
                return try await page(visit)
            } catch {
                return problemPage(Problem(wrapping: error, doing: "The page"), visit)
            }
        } catch {
            return problemPage(Problem(wrapping: error, doing: "The request"), nil)
        }
    }

    // MARK: Sessions

    private func visit(_ head: RequestHead, _ request: Request, _ address: String) async throws -> Visit? {
        guard let token = head.cookies[cookieName], let session = try await hub.session(token, address: address) else {
            return nil
        }
        let theme = head.cookies["roost_theme"] ?? "auto"
        return Visit(
            session: session, path: head.path, query: head.query, now: hub.world.clock.now(),
            theme: Self.themes.contains(theme) ? theme : "auto", here: head.here, hubURL: hubURL(request))
    }

    static let themes = ["auto", "light", "dark"]

    private func hubURL(_ request: Request) -> String {
        if let url = configuration.publicURL { return url }
        let host = request.head.authority ?? "localhost"
        let isPlain = host.utf8.count <= 255 && host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x2F }
        return "\(configuration.isTLS ? "https" : "http")://\(isPlain ? host : "localhost")"
    }

    /// Not logged in: the login page for a page, a plain refusal for what scripts ask for.
    private func refused(_ request: Request, _ head: RequestHead) throws -> PageAnswer {
        let isForScript = head.path == ["live"] || head.path == ["log"] || request.headers[.fragment] != nil
        guard !isForScript else {
            var answer = PageAnswer.text("Log in first.\n")
            answer.status = .unauthorized
            return answer
        }
        return .seeOther(head.here == "/" ? "/login" : "/login?next=\(percentEncoded(head.here))")
    }

    // MARK: Forms

    private func post(_ request: Request, _ head: RequestHead, _ address: String) async throws -> PageAnswer {
        guard isSameSite(request) else {
            throw Problem(.forbidden, "The form came from another site.", hint: "Open the page here and try again.")
        }
        let form = try await form(request)
        if head.path == ["login"] { return try await logIn(form, address) }
        guard var visit = try await visit(head, request, address) else { return .seeOther("/login") }
        visit.form = form
        guard hub.isValidCSRF(form["csrf"] ?? "", session: visit.session.token) else {
            let problem = Problem(
                .forbidden, "The form is out of date; nothing was changed.",
                hint: "Go back, reload the page, try again.")
            return problemPage(problem, visit)
        }
        do {
            return try await submit(visit)
        } catch {
            return problemPage(Problem(wrapping: error, doing: "The change"), visit)
        }
    }

    /// Browsers say where a form comes from. A client that says nothing still needs the session's token.
    private func isSameSite(_ request: Request) -> Bool {
        if let site = request.headers[.secFetchSite] { return site == "same-origin" || site == "none" }
        guard let origin = request.headers[.origin], let host = request.head.authority else { return true }
        return origin.hasSuffix("://\(host)")
    }

    /// - Throws: `too_large`, `invalid` for another media type.
    private func form(_ request: Request) async throws -> FormBody {
        let type = request.headers[.contentType]?.split(separator: ";").first.flatMap { trimmed($0.lowercased()) }
        guard type == nil || type == "application/x-www-form-urlencoded" else {
            throw Problem(.invalid, "The form must be application/x-www-form-urlencoded.")
        }
        var bytes: [UInt8] = []
        do {
            for try await part in request.body {
                bytes.append(contentsOf: part.readableBytesView)
                if bytes.count > FormBody.bytesMax { throw Problem(.tooLarge, "The form has more than 1 MiB.") }
            }
        } catch let error where !(error is Problem || error is CancellationError) {
            throw Problem(.invalid, "The form could not be read.", context: "\(error)")
        }
        return try FormBody(bytes)
    }

    // MARK: Files

    private func asset(_ path: String) throws -> PageAnswer {
        guard let asset = assets.asset(at: path) else { throw Problem(.notFound, "There is no such file.") }
        return PageAnswer(
            headers: [.contentType: asset.mediaType, .cacheControl: "public, max-age=31536000, immutable"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: asset.bytes)))
    }

    /// Programs that miss an endpoint get what endpoints answer.
    private func apiNotFound() -> PageAnswer {
        let body: JSONValue = ["error": "There is no such endpoint.", "code": "not_found", "fields": [:]]
        var answer = PageAnswer.text(body.canonicalText, type: "application/json")
        answer.status = .notFound
        return answer
    }
}

extension HTTPField.Name {
    /// Sent by the script when it fetches a page for its parts.
    static let fragment = HTTPField.Name("X-Roost-Fragment")!
}
