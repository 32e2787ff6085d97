public import Model
public import ResourceKit

/// A domain in front of a service or of any other upstream.
public let siteKind = ResourceKind(
    name: "site", plural: "sites", summary: "A domain in front of a service or of any other upstream.",
    identity: .uuid, parent: .init(kind: "stack", field: "stack_id", standardClaim: "stack/default"),
    isAsynchronous: true,
    fields: siteTargetFields + siteTLSFields + siteAccessFields + siteHeaderFields,
    reported: [
        Field("service_id", .reference("service"), "The service that it is in front of, if it is one."),
        Field("certificate_not_after", .line, "When its certificate ends, on the server where that is first."),
        Field(
            "traffic", .object(trafficFields),
            "What the edges of its servers did for it in the last minute; absent while none of them says."),
        Field(
            "nodes",
            .map(
                key: { _ in nil },
                value: .object([
                    Field("state", .line, "active, provisioning or failed."), Field("message", .line, "Why."),
                    Field("certificate_not_after", .line, "When its certificate ends there."),
                ]), countMax: 10_000), "How it stands on each server."),
    ],
    claims: { record in Sites.names(record.spec).map { "host/\($0)" } },
    claimedFields: ["www_redirect"],
    actions: [
        ResourceAction(
            "retry", "Look its upstream up again, order a certificate that is missing, and bring it to every server.")
    ],
    columns: ["domain", "upstream", "tls", "auth", "certificate_not_after"], searched: ["domain", "upstream"],
    validate: validateSite, behaviour: SiteBehaviour())

private let siteTargetFields: [Field] = [
    Field(
        "domain", .string(check: { Names.hostnameFlaw($0, wildcard: true) }),
        "Host name, or *.suffix for all names below one; unique.", required: true, example: "shop.example.org"),
    Field(
        "aliases", .list(of: .string(check: { Names.hostnameFlaw($0, wildcard: true) }), countMax: 99),
        "Names that are served alike.", default: [], example: ["shop.example.net"]),
    Field(
        "upstream", .string(check: SiteUpstream.flaw),
        "What it is in front of: a service by name or id, CONTAINER:PORT, HOST:PORT, or edge:metrics.", required: true,
        example: "web"),
    Field(
        "upstream_protocol", .choice(["http1", "h2c"]),
        "What a container or host that it is in front of speaks; h2c is for gRPC. A service says so itself.",
        default: "http1"),
    Field(
        "paths",
        .map(key: Sites.prefixFlaw, value: .string(check: SiteUpstream.flaw), countMax: 100),
        "What is below a path, where that is something else than the upstream; the longest prefix decides.",
        default: [:], example: ["/api": "api"]),
    Field(
        "strip_paths", .list(of: .string(check: Sites.prefixFlaw), countMax: 100),
        "Those of the paths that are removed before a request reaches what is below them.", default: [],
        example: ["/api"]),
    Field(
        "www_redirect", .choice(["none", "www", "bare"]),
        "Send clients on to the domain with www. in front (www), or to the one without (bare).", default: "none"),
]

private let siteTLSFields: [Field] = [
    Field(
        "tls", .choice(["acme", "upload", "self-signed", "off"]),
        "Where its certificate comes from: ordered by itself (acme), uploaded, made for development, or none.",
        default: "off", example: "acme"),
    Field(
        "certificate_pem", .text(bytesMax: 131_072),
        "Certificate and those that lead to its root, in PEM form; for tls upload."),
    Field(
        "key_pem", .text(bytesMax: 32_768), "Private key of the certificate, in PEM form; for tls upload.",
        secret: true),
    Field(
        "https_redirect", .boolean, "Whether requests in clear text are sent on to https; not with tls off.",
        default: true),
    Field(
        "hsts",
        .object([
            Field(
                "max_age", .duration(.zero...(.seconds(315_360_000))),
                "How long browsers use https only; without it the header is not sent."),
            Field("includes_subdomains", .boolean, "Whether that is so for all names below, too.", default: false),
            Field("preload", .boolean, "Whether the domain may be put on browsers' lists.", default: false),
        ]), "Strict transport security: browsers remember to use https only.", default: [:],
        example: ["max_age": "365d"]),
]

private let siteAccessFields: [Field] = [
    Field(
        "auth", .choice(["allow", "basic", "token", "deny"]),
        "Who may pass: anyone, its users by password, holders of a token, or nobody.", default: "allow"),
    Field(
        "tokens", .list(of: .string(check: Sites.tokenFlaw), countMax: 1000),
        "Tokens that pass with auth token, in Authorization: Bearer or X-Token; at least 16 characters each.",
        digested: true),
    Field(
        "allow_networks", .list(of: .string(check: Sites.networkFlaw), countMax: 1000),
        "Networks and addresses that may pass; with any, all others may not.", default: [],
        example: ["203.0.113.0/24"]),
    Field(
        "deny_networks", .list(of: .string(check: Sites.networkFlaw), countMax: 1000),
        "Networks and addresses that may not pass; of several that hold a client the smallest decides.", default: [],
        example: ["203.0.113.66"]),
    Field(
        "forward_auth",
        .object([
            Field("service", .string(check: Names.dnsLabelFlaw), "Name or id of the service that is asked."),
            Field("path", .string(check: Sites.targetFlaw), "Path and query of the question.", default: "/"),
            Field(
                "timeout", .duration(.milliseconds(1)...(.seconds(60))), "Without an answer by then: 503.",
                default: "5s"),
            Field(
                "copied_headers", .list(of: .string(check: Names.headerNameFlaw), countMax: 100),
                "Fields of its answer that the upstream gets.", default: []),
        ]), "Ask a service of the stack about each request: an answer of class 2xx lets it pass.", default: [:],
        example: ["service": "login", "path": "/check", "copied_headers": ["X-User"]]),
    Field(
        "passes_credentials", .boolean, "Whether the upstream gets the credentials that were checked here.",
        default: false),
    Field(
        "rate_limit",
        .object([
            Field("requests_per_second", .number(0.01...1_000_000), "Per client in the long run; more gets 429."),
            Field("burst", .integer(1...1_000_000), "Requests of a client at once; one second's worth when absent."),
            Field("concurrent_per_client", .integer(1...1_000_000), "Requests of a client under way at once."),
            Field("concurrent", .integer(1...1_000_000), "Requests of all under way at once; more gets 503."),
        ]), "How much may be asked. A client is an IPv4 address or an IPv6 /64.", default: [:],
        example: ["requests_per_second": 20, "burst": 50]),
    maxBodySizeField,
]

private let headerValue: Field.Kind = .string(check: { Names.lineFlaw($0, bytesMax: 4096) })

private let siteHeaderFields: [Field] = [
    Field(
        "security_headers", .boolean,
        "Adds X-Content-Type-Options, Referrer-Policy and X-Frame-Options to answers that have none.", default: true),
    Field("hide_server", .boolean, "Removes Server and X-Powered-By from answers.", default: true),
    Field(
        "request_headers", .map(key: Names.headerNameFlaw, value: headerValue, countMax: 100),
        "Set towards the upstream.", confidential: true, default: [:], example: ["X-Site": "shop"]),
    Field(
        "request_headers_removed", .list(of: .string(check: Names.headerNameFlaw), countMax: 100),
        "Not passed to the upstream.", default: []),
    Field(
        "response_headers", .map(key: Names.headerNameFlaw, value: headerValue, countMax: 100),
        "Set towards the client.", default: [:], example: ["Permissions-Policy": "camera=()"]),
    Field(
        "response_headers_removed", .list(of: .string(check: Names.headerNameFlaw), countMax: 100),
        "Not passed to the client.", default: []),
    Field(
        "logs_query", .boolean, "Whether the access log holds the query, which may hold secrets.", default: false),
]

@Sendable private func validateSite(_ spec: [String: JSONValue], _ flaws: inout FieldFlaws) {
    let domain = Names.normalizedHost(spec["domain"]?.stringValue ?? "")
    let names = Sites.names(spec)
    if spec["www_redirect"]?.stringValue ?? "none" != "none" {
        let bare = Sites.withoutWWW(domain)
        if domain.hasPrefix("*.") || !bare.contains(".") || Sites.isAddress(bare) {
            flaws.add("www_redirect", "must be none unless the domain is one such as example.org")
        }
    }
    let paths = spec["paths"]?.objectValue ?? [:]
    for (index, path) in (spec["strip_paths"]?.arrayValue ?? []).enumerated() {
        guard let text = path.stringValue, paths[text] == nil else { continue }
        flaws.add("strip_paths[\(index)]", "is none of the paths")
    }
    if Set(names).count != names.count { flaws.add("aliases", "has a name twice, or one that the domain stands for") }
    validateTLS(spec, names, &flaws)
    if spec["auth"] == "token", spec["tokens"]?.arrayValue?.isEmpty != false {
        flaws.add("tokens", "is required with auth token")
    }
    if spec["rate_limit"]?["burst"]?.intValue != nil, spec["rate_limit"]?["requests_per_second"]?.doubleValue == nil {
        flaws.add("rate_limit.burst", "needs requests_per_second beside it")
    }
    let forward = spec["forward_auth"]
    if forward?["service"]?.stringValue == nil, forward?["copied_headers"]?.arrayValue?.isEmpty == false {
        flaws.add("forward_auth.service", "is required with copied_headers")
    }
    for name in ["request_headers", "response_headers"] {
        let set = (spec[name]?.objectValue?.keys.map { $0.lowercased() } ?? [])
        let removed = spec["\(name)_removed"]?.arrayValue?.compactMap { $0.stringValue?.lowercased() } ?? []
        if Set(set).count != set.count { flaws.add(name, "has a field twice; case does not tell them apart") }
        if let both = removed.first(where: set.contains) {
            flaws.add("\(name)_removed", "has \(both), which \(name) sets")
        }
    }
}

private func validateTLS(_ spec: [String: JSONValue], _ names: [String], _ flaws: inout FieldFlaws) {
    func isSet(_ field: String) -> Bool { spec[field]?.stringValue?.isEmpty == false }
    let hsts = spec["hsts"]
    let maxAge = hsts?["max_age"].flatMap { Duration(json: $0) }
    if spec["tls"]?.stringValue ?? "off" != "off", names.count > Sites.certificateNamesMax {
        flaws.add("aliases", "are too many: a certificate has \(Sites.certificateNamesMax) names at most")
    }
    switch spec["tls"]?.stringValue {
    case "acme":
        if let name = names.first(where: { !$0.contains(".") || Sites.isAddress($0) }) {
            flaws.add("tls", "cannot be acme for \(name), which is no public domain")
        }
    case "upload":
        for field in ["certificate_pem", "key_pem"] where !isSet(field) {
            flaws.add(field, "is required with tls upload")
        }
    case "off":
        if maxAge != nil { flaws.add("hsts.max_age", "needs tls") }
    default: break
    }
    if hsts?["preload"] == true, hsts?["includes_subdomains"] != true || maxAge ?? .zero < .seconds(31_536_000) {
        flaws.add("hsts.preload", "needs includes_subdomains, and a max_age of at least 365d")
    }
}

/// Rules of sites.
public enum Sites {
    /// What authorities put into one certificate, and the edge takes.
    static let certificateNamesMax = 100

    /// Every name that a site answers to: domain, aliases, and the other form of a `www` redirect. Normalised.
    public static func names(_ spec: [String: JSONValue]) -> [String] {
        let domain = Names.normalizedHost(spec["domain"]?.stringValue ?? "")
        let aliases = (spec["aliases"]?.arrayValue ?? []).compactMap { $0.stringValue.map(Names.normalizedHost) }
        let hasOther = spec["www_redirect"]?.stringValue ?? "none" != "none"
        let other = domain.hasPrefix("www.") ? withoutWWW(domain) : "www.\(domain)"
        return [domain] + (hasOther ? [other] : []) + aliases
    }

    static func withoutWWW(_ name: String) -> String { name.hasPrefix("www.") ? String(name.dropFirst(4)) : name }

    static func isAddress(_ name: String) -> Bool { Names.addressFlaw(name) == nil }

    @Sendable static func networkFlaw(_ text: String) -> String? {
        let isSound = Names.cidrFlaw(text) == nil || Names.addressFlaw(text) == nil
        return isSound ? nil : "must be an address or a network such as 203.0.113.0/24"
    }

    @Sendable static func tokenFlaw(_ text: String) -> String? {
        guard (16...512).contains(text.utf8.count) else { return "must have 16 to 512 characters" }
        return text.utf8.allSatisfy { (0x21...0x7E).contains($0) } ? nil : "must be plain ASCII without spaces"
    }

    @Sendable static func prefixFlaw(_ text: String) -> String? {
        if text == rootPath { return "must not be /, which the upstream has" }
        return text.hasSuffix("/") ? "must not end in /" : Names.pathPrefixFlaw(text)
    }

    /// What a site is in front of, by path prefix; `/` is what its `upstream` names. Sorted by prefix.
    static func upstreams(_ spec: [String: JSONValue]) -> [(path: String, text: String)] {
        let below = (spec["paths"]?.objectValue ?? [:]).compactMap { path, text in
            text.stringValue.map { (path: path, text: $0) }
        }
        return [(path: rootPath, text: spec["upstream"]?.stringValue ?? "")] + below.sorted { $0.path < $1.path }
    }

    static let rootPath = "/"

    /// The field that names what is at a path.
    static func field(ofPath path: String) -> String { path == rootPath ? "upstream" : "paths.\(path)" }

    @Sendable static func targetFlaw(_ text: String) -> String? {
        let isSound =
            text.hasPrefix("/") && text.utf8.count <= 2048
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }
        return isSound ? nil : "must be a path in plain ASCII, such as /check"
    }
}
