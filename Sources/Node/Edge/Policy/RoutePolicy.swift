import Model

/// All that a route asks of its requests beyond being relayed, made ready when the table is. A route that asks nothing
/// has none.
final class RoutePolicy: Sendable {
    let access: AccessPolicy?
    let usage: RouteUsage?
    let bodyBytesMax: Int?
    let redirect: RedirectPolicy?
    let requestEdits: HeaderEdits?
    let responseEdits: HeaderEdits?
    /// `Strict-Transport-Security`, a whole line for answers over TLS.
    let hstsLine: [UInt8]?
    let logsQuery: Bool

    /// Nil for a route without policies.
    init?(_ route: EdgeRoute, registry: StateRegistry, upstreamById: [String: Int]) {
        guard
            route.access != nil || route.limits != nil || route.redirect != nil || route.headers != nil
                || route.logsQuery == true
        else { return nil }
        access = route.access.map {
            AccessPolicy($0, verifier: registry.verifier, upstreamById: upstreamById)
        }
        usage = route.limits.flatMap { $0.counted == EdgeRouteLimits() ? nil : registry.usage(of: route, $0.counted) }
        bodyBytesMax = route.limits?.maxBodyBytes
        redirect = route.redirect.map { RedirectPolicy($0) }
        let requestEdits = route.headers.map { HeaderEdits.request($0) }
        self.requestEdits = requestEdits?.isEmpty == false ? requestEdits : nil
        let responseEdits = route.headers.map { HeaderEdits.response($0) }
        self.responseEdits = responseEdits?.isEmpty == false ? responseEdits : nil
        hstsLine = route.headers?.hsts.map { hsts in
            let subdomains = hsts.includesSubdomains ? "; includeSubDomains" : ""
            let preload = hsts.allowsPreload ? "; preload" : ""
            return Array("Strict-Transport-Security: max-age=\(hsts.maxAgeSeconds)\(subdomains)\(preload)\r\n".utf8)
        }
        logsQuery = route.logsQuery == true
    }
}

/// How far a request has come through its route's policy. Made only for routes with limits or access rules.
final class PolicyProgress {
    /// The policy that was answered to; another one, after a change of tables, asks again.
    let policy: RoutePolicy
    /// Where a place was taken that must be given back.
    var usage: RouteUsage?
    var client: ClientAddress?
    /// A question was asked and the request waits for its answer.
    var isSuspended = false
    var verdict: CredentialVerifier.Verdict?
    var forwarded: ForwardVerdict?
    /// Lines for the upstream: who the user is, and what the asked service said.
    var lines: [UInt8] = []
    var question: Subrequest?

    init(_ policy: RoutePolicy) { self.policy = policy }
}

/// What a forwarded question came to.
enum ForwardVerdict {
    /// Lines to copy.
    case passed([UInt8])
    case answered(Subrequest.Answer)
    case failed
}
