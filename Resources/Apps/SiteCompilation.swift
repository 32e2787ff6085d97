import AgentProtocol
import Model
public import ResourceKit

/// A site with its users, as the store has them.
public struct SiteRecords: Sendable {
    public var site: ResourceRecord
    public var users: [ResourceRecord]

    public init(site: ResourceRecord, users: [ResourceRecord]) {
        self.site = site
        self.users = users
    }

    /// All sites of a stack.
    /// - Throws: whatever the transaction throws.
    public static func all(of stackId: String, _ transaction: any ResourceTransaction) throws -> [SiteRecords] {
        try transaction.all("site", parentId: stackId).map { site in
            let needsUsers = site.spec["auth"] == "basic"
            return SiteRecords(
                site: site, users: needsUsers ? try transaction.all("site-user", parentId: site.id) : [])
        }
    }
}

/// Compiles a site to its part of a node's document. Pure.
enum SiteCompilation {
    /// Nil for a site that is on its way out, or whose services are gone.
    static func compile(
        _ records: SiteRecords, serviceIds: Set<String>, open: (String) throws -> String
    ) throws -> DesiredSite? {
        let (site, spec) = (records.site, records.site.spec)
        guard site.status != .deleting, let domain = spec["domain"]?.stringValue,
            let targets = targets(site, serviceIds), let target = targets[Sites.rootPath]
        else { return nil }
        let forward = site.state["forward_service_id"]?.stringValue
        if let forward, !serviceIds.contains(forward) { return nil }
        let stripped = Set(strings(spec["strip_paths"]))
        let paths = targets.filter { $0.key != Sites.rootPath }.sorted { $0.key < $1.key }.map { path, target in
            DesiredSitePath(path: path, stripPath: stripped.contains(path), target: target)
        }
        let mode = DesiredSiteTLS.Mode(rawValue: spec["tls"]?.stringValue ?? "off") ?? .off
        let isUpload = mode == .upload
        return DesiredSite(
            id: site.id, domain: Names.normalizedHost(domain),
            aliases: strings(spec["aliases"]).map(Names.normalizedHost).sorted(),
            wwwRedirect: ["www": .www, "bare": .apex][spec["www_redirect"]?.stringValue ?? "none"], target: target,
            paths: paths.isEmpty ? nil : paths,
            tls: DesiredSiteTLS(
                mode: mode, redirectsClearText: mode != .off && spec["https_redirect"]?.boolValue ?? true,
                certificatePem: isUpload ? spec["certificate_pem"]?.stringValue : nil,
                keyPem: isUpload ? try spec["key_pem"]?.stringValue.map(open) : nil,
                attempt: mode == .acme ? Sites.attempt(site).map { Int($0) } : nil),
            access: try access(records, forward, open), limits: limits(spec["rate_limit"], spec["max_body_size"]),
            headers: headers(spec, mode),
            logsQuery: spec["logs_query"] == true ? true : nil)
    }

    /// What is at each path of a site; nil when a service of them is gone.
    private static func targets(_ site: ResourceRecord, _ serviceIds: Set<String>) -> [String: DesiredSiteTarget]? {
        var targets: [String: DesiredSiteTarget] = [:]
        for (path, text) in Sites.upstreams(site.spec) {
            guard let target = target(site, path, text, serviceIds) else { return nil }
            targets[path] = target
        }
        return targets
    }

    private static func target(
        _ site: ResourceRecord, _ path: String, _ text: String, _ serviceIds: Set<String>
    ) -> DesiredSiteTarget? {
        let spoken: EdgeProtocol? = site.spec["upstream_protocol"] == "h2c" ? .h2c : nil
        switch SiteUpstream(text) {
        case .service?:
            guard let id = Sites.serviceId(site, path), serviceIds.contains(id) else { return nil }
            return DesiredSiteTarget(serviceId: id)
        case .container(let name, let port)?:
            return DesiredSiteTarget(container: name, port: port, protocol: spoken)
        case .host(let name, let port)?: return DesiredSiteTarget(host: name, port: port, protocol: spoken)
        case .metrics?: return DesiredSiteTarget(showsMetrics: true)
        case nil: return nil
        }
    }

    private static func access(
        _ records: SiteRecords, _ forward: String?, _ open: (String) throws -> String
    ) throws -> EdgeAccess? {
        let spec = records.site.spec
        var access = EdgeAccess(
            networks: networks(spec), passesCredentials: spec["passes_credentials"]?.boolValue ?? false)
        switch spec["auth"]?.stringValue ?? "allow" {
        case "basic":
            let users = try records.users.filter { $0.status != .deleting }.compactMap { user -> EdgeUser? in
                guard let name = user.spec["username"]?.stringValue, let hash = user.spec["password"]?.stringValue
                else { return nil }
                return EdgeUser(name: name, passwordHash: try open(hash))
            }.sorted { $0.name < $1.name }
            // Without a user there is nobody whom a password could let in.
            access.isDenied = users.isEmpty
            if !users.isEmpty {
                access.basic = EdgeBasicAuth(
                    realm: Names.normalizedHost(spec["domain"]?.stringValue ?? ""), users: users)
            }
        case "token":
            access.tokenHashes = strings(spec["tokens"]).sorted()
            access.isDenied = access.tokenHashes.isEmpty
        case "allow": break
        default: access.isDenied = true
        }
        if let forward {
            let asked = spec["forward_auth"]
            access.forward = EdgeForwardAuth(
                upstreamId: forward, path: asked?["path"]?.stringValue ?? "/",
                timeoutMs: asked?["timeout"].flatMap { Duration(json: $0) }.map { Int($0.milliseconds) } ?? 5000,
                copiedHeaders: strings(asked?["copied_headers"]))
        }
        let lets = EdgeAccess(passesCredentials: access.passesCredentials)
        return access == lets ? nil : access
    }

    /// The edge takes the first rule that holds the client, so the smallest networks come first, and of equal ones
    /// those that refuse.
    private static func networks(_ spec: [String: JSONValue]) -> [EdgeNetworkRule] {
        let rules =
            strings(spec["deny_networks"]).map { EdgeNetworkRule(network: $0, isAllowed: false) }
            + strings(spec["allow_networks"]).map { EdgeNetworkRule(network: $0, isAllowed: true) }
        return rules.enumerated().sorted { first, second in
            let (a, b) = (hostBits(first.element.network), hostBits(second.element.network))
            return a != b ? a < b : first.offset < second.offset
        }.map(\.element)
    }

    /// How many bits of an address a network leaves open.
    private static func hostBits(_ network: String) -> Int {
        guard let slash = network.lastIndex(of: "/"), let prefix = Int(network[network.index(after: slash)...]) else {
            return 0
        }
        return (network.contains(":") ? 128 : 32) - prefix
    }

    private static func limits(_ spec: JSONValue?, _ bodySize: JSONValue?) -> EdgeRouteLimits? {
        func count(_ name: String) -> Int? { spec?[name]?.intValue.map { Int($0) } }
        let limits = EdgeRouteLimits(
            requestsPerSecond: spec?["requests_per_second"]?.doubleValue, burst: count("burst"),
            concurrentPerClient: count("concurrent_per_client"), concurrentRequests: count("concurrent"),
            maxBodyBytes: bodySize.flatMap(ByteCount.parse(json:)).map { Int($0) })
        return limits == EdgeRouteLimits() ? nil : limits
    }

    private static func headers(_ spec: [String: JSONValue], _ mode: DesiredSiteTLS.Mode) -> EdgeHeaderRules? {
        func set(_ name: String) -> [EdgeHeader] {
            (spec[name]?.objectValue ?? [:]).sorted { $0.key < $1.key }.compactMap { name, value in
                value.stringValue.map { EdgeHeader(name: name, value: $0) }
            }
        }
        var rules = EdgeHeaderRules(
            requestSet: set("request_headers"), requestRemove: strings(spec["request_headers_removed"]),
            responseSet: set("response_headers"), responseRemove: strings(spec["response_headers_removed"]),
            addsSecurityHeaders: spec["security_headers"]?.boolValue ?? true,
            hidesServer: spec["hide_server"]?.boolValue ?? true)
        if mode != .off, let age = spec["hsts"]?["max_age"].flatMap({ Duration(json: $0) }) {
            rules.hsts = EdgeHSTS(
                maxAgeSeconds: Int(age.milliseconds / 1000),
                includesSubdomains: spec["hsts"]?["includes_subdomains"]?.boolValue ?? false,
                allowsPreload: spec["hsts"]?["preload"]?.boolValue ?? false)
        }
        return rules == EdgeHeaderRules() ? nil : rules
    }

    private static func strings(_ value: JSONValue?) -> [String] {
        (value?.arrayValue ?? []).compactMap(\.stringValue)
    }
}
