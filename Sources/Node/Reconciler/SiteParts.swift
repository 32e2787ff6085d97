import AgentProtocol
import Certificates
import Model

/// What one site wants of the edge.
struct SitePart: Sendable, Equatable {
    var siteId: String
    var routes: [EdgeRoute]
    /// Of what is no service; those have their own.
    var upstreams: [EdgeUpstream]
}

/// What all sites together want of the edge.
struct SiteParts: Sendable, Equatable {
    var sites: [SitePart] = []
    var certificates: [EdgeCertificate] = []
    /// Names of services by id, for the page of one that is not there.
    var serviceNames: [String: String] = [:]
    /// All of the server, also those that the edge did not take; nil as long as that is not known.
    var siteIds: [String]?
}

/// Where a container that a site is in front of can be reached.
enum ContainerPlace: Sendable, Equatable {
    case at(host: String, port: Int)
    /// Why it cannot be, for a person.
    case absent(String)
}

/// How sites become a part of the edge's table. Pure.
enum SiteRouting {
    /// - Parameters:
    ///   - places: of the containers that sites are in front of, by the id of their upstream.
    ///   - downSince: when such a place was lost, by the id of the upstream.
    ///   - tlsAddress: of the listener; nil for none.
    static func parts(
        _ document: DesiredState, certificates: [EdgeCertificate], places: [String: ContainerPlace],
        downSince: [String: Timestamp], tlsAddress: String?
    ) -> SiteParts {
        let port = tlsAddress.flatMap(portNumber)
        return SiteParts(
            sites: (document.sites ?? []).map { site in
                SitePart(
                    siteId: site.id, routes: routes(site, httpsPort: port == 443 ? nil : port),
                    upstreams: targets(site).compactMap { upstream($0, places[$0.id], downSince[$0.id]) })
            },
            certificates: certificates,
            serviceNames: Dictionary(document.services.map { ($0.id, $0.name) }, uniquingKeysWith: { $1 }),
            siteIds: (document.sites ?? []).map(\.id).sorted())
    }

    /// All names that the site's certificate is for.
    static func names(_ site: DesiredSite) -> [String] { hosts(site) + [otherForm(site)].compactMap { $0 } }

    /// Names that are served, and not sent on.
    static func hosts(_ site: DesiredSite) -> [String] {
        let main =
            switch site.wwwRedirect {
            case .www where otherForm(site) == site.domain: "www.\(site.domain)"
            case .apex where otherForm(site) == site.domain: String(site.domain.dropFirst(4))
            default: site.domain
            }
        var seen: Set<String> = []
        return ([main] + site.aliases).filter { seen.insert($0).inserted && $0 != otherForm(site) }
    }

    /// The form of the domain whose clients are sent on; nil for none.
    static func otherForm(_ site: DesiredSite) -> String? {
        guard let wanted = site.wwwRedirect, !site.domain.hasPrefix("*.") else { return nil }
        let apex = site.domain.hasPrefix("www.") ? String(site.domain.dropFirst(4)) : site.domain
        return wanted == .www ? apex : "www.\(apex)"
    }

    /// The certificate that a site needs; nil for one in clear text.
    static func wanted(_ site: DesiredSite) -> WantedCertificate? {
        // The edge refuses such a site and says why; the others' certificates must not wait for it.
        guard names(site).allSatisfy({ Names.hostnameFlaw($0, wildcard: true) == nil && $0 == $0.lowercased() }) else {
            return nil
        }
        return switch site.tls.mode {
        case .off: nil
        case .acme: WantedCertificate(names: names(site), source: .acme, attempt: site.tls.attempt)
        case .selfSigned: WantedCertificate(names: names(site), source: .selfSigned)
        case .upload:
            WantedCertificate(
                names: names(site),
                source: .upload(certificatePEM: site.tls.certificatePem ?? "", keyPEM: site.tls.keyPem ?? ""))
        }
    }

    private static func routes(_ site: DesiredSite, httpsPort: Int?) -> [EdgeRoute] {
        let upgrades = site.tls.mode != .off && site.tls.redirectsClearText
        var main = EdgeRoute(hosts: hosts(site), upstreamId: upstreamId(site), name: site.domain)
        main.access = site.access
        main.limits = site.limits
        main.headers = site.headers
        main.logsQuery = site.logsQuery
        main.siteId = site.id
        if upgrades { main.redirect = EdgeRedirect(https: true, httpsPort: httpsPort) }
        let below = (site.paths ?? []).map { part in
            var route = main
            route.pathPrefix = part.path
            route.stripPrefix = part.stripPath
            route.upstreamId = upstreamId(site, part)
            route.name = "\(site.domain)\(part.path)"
            return route
        }
        guard let other = otherForm(site) else { return [main] + below }
        var sentOn = EdgeRoute(hosts: [other], upstreamId: upstreamId(site), name: site.domain)
        sentOn.headers = site.headers
        sentOn.logsQuery = site.logsQuery
        sentOn.siteId = site.id
        sentOn.redirect = EdgeRedirect(host: site.wwwRedirect, https: upgrades, httpsPort: httpsPort)
        return [main] + below + [sentOn]
    }

    /// What a site is in front of, with the id that it has as an upstream.
    struct Target {
        var id: String
        /// For pages and the log.
        var name: String
        var target: DesiredSiteTarget
    }

    static func targets(_ site: DesiredSite) -> [Target] {
        [Target(id: upstreamId(site), name: site.domain, target: site.target)]
            + (site.paths ?? []).map {
                Target(id: upstreamId(site, $0), name: "\(site.domain)\($0.path)", target: $0.target)
            }
    }

    static func upstreamId(_ site: DesiredSite) -> String { site.target.serviceId ?? "site:\(site.id)" }

    private static func upstreamId(_ site: DesiredSite, _ part: DesiredSitePath) -> String {
        part.target.serviceId ?? "site:\(site.id)\(part.path)"
    }

    private static func upstream(
        _ part: Target, _ place: ContainerPlace?, _ downSince: Timestamp?
    ) -> EdgeUpstream? {
        guard part.target.serviceId == nil else { return nil }
        var upstream = EdgeUpstream(id: part.id, name: part.name, mode: .down, downSince: downSince)
        if part.target.showsMetrics == true {
            upstream.mode = .metrics
            return upstream
        }
        upstream.protocol = part.target.protocol
        if let host = part.target.host, let port = part.target.port {
            upstream.endpoints = [EdgeEndpoint(host: host, port: port)]
        } else if case .at(let host, let port) = place {
            upstream.endpoints = [EdgeEndpoint(host: host, port: port)]
        }
        guard !upstream.endpoints.isEmpty else { return upstream }
        upstream.mode = .serve
        upstream.downSince = nil
        return upstream
    }

    static func portNumber(_ address: String) -> Int? {
        address.split(separator: ":").last.flatMap { Int($0) }
    }
}
