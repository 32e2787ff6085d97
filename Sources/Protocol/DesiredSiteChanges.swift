import Model

/// What a server will do about its sites when it gets another document, in words. No secret is in them.
enum DesiredSiteChanges {
    static func steps(from old: DesiredState?, to new: DesiredState) -> [String] {
        let (before, after) = (old?.sites ?? [], new.sites ?? [])
        let known = Dictionary(before.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let kept = Set(after.map(\.id))
        let names = Dictionary(
            ((old?.services ?? []) + new.services).map { ($0.id, $0.name) }, uniquingKeysWith: { $1 })
        var steps: [String] = []
        for site in after {
            let changes = known[site.id].map { changed($0, site, names) } ?? added(site, names)
            steps += changes.map { "site \(site.domain): \($0)" }
        }
        for site in before where !kept.contains(site.id) {
            steps += removed(site, after, names).map { "site \(site.domain): \($0)" }
        }
        return steps
    }

    private static func added(_ site: DesiredSite, _ names: [String: String]) -> [String] {
        routes(site, names) + certificate(site)
            + (access(site.access).map { ["let pass \($0)"] } ?? [])
    }

    private static func removed(
        _ site: DesiredSite, _ others: [DesiredSite], _ names: [String: String]
    ) -> [String] {
        var steps = ["no longer route \(hosts(site))"]
        if site.tls.mode != .off { steps.append("remove its certificate and key") }
        for target in targets(site) {
            guard let other = others.first(where: { targets($0).contains(target) }) else { continue }
            steps.append("leave \(title(target, names)) alone, as \(other.domain) uses it too")
        }
        return steps
    }

    private static func changed(_ old: DesiredSite, _ new: DesiredSite, _ names: [String: String]) -> [String] {
        var steps: [String] = []
        if hosts(old) != hosts(new) || old.target != new.target || old.paths != new.paths {
            steps += routes(new, names)
            let kept = Set((new.paths ?? []).map(\.path))
            steps += (old.paths ?? []).filter { !kept.contains($0.path) }.map {
                "no longer route \($0.path) apart from the rest"
            }
        }
        if old.wwwRedirect != new.wwwRedirect { steps.append(redirect(new)) }
        if old.tls != new.tls {
            let isOther =
                (old.tls.mode, old.tls.certificatePem, old.tls.keyPem)
                != (new.tls.mode, new.tls.certificatePem, new.tls.keyPem)
            if isOther { steps += new.tls.mode == .off ? ["remove its certificate and key"] : certificate(new) }
            if old.tls.redirectsClearText != new.tls.redirectsClearText {
                steps.append(new.tls.redirectsClearText ? "send http on to https" : "serve http as well as https")
            }
        } else if hosts(old) != hosts(new), new.tls.mode != .off {
            steps += certificate(new)
        }
        if old.access != new.access { steps.append("let pass \(access(new.access) ?? "anyone")") }
        if old.limits != new.limits { steps.append(new.limits == nil ? "limit nothing" : "limit requests") }
        if old.headers != new.headers { steps.append("change header fields") }
        if old.logsQuery != new.logsQuery { steps.append("log \(new.logsQuery == true ? "with" : "without") queries") }
        return steps
    }

    private static func hosts(_ site: DesiredSite) -> String { ([site.domain] + site.aliases).joined(separator: ", ") }

    private static func targets(_ site: DesiredSite) -> [DesiredSiteTarget] {
        var targets = [site.target]
        for part in site.paths ?? [] where !targets.contains(part.target) { targets.append(part.target) }
        return targets
    }

    private static func routes(_ site: DesiredSite, _ names: [String: String]) -> [String] {
        ["route \(hosts(site)) → \(title(site.target, names))"]
            + (site.paths ?? []).map { part in
                "route \(part.path) → \(title(part.target, names))\(part.stripPath ? ", without the path" : "")"
            }
    }

    private static func title(_ target: DesiredSiteTarget, _ names: [String: String]) -> String {
        if target.showsMetrics == true { return "the metrics of the edge" }
        if let id = target.serviceId { return names[id] ?? "a service without a release" }
        let port = target.port.map { ":\($0)" } ?? ""
        if let container = target.container { return "container \(container)\(port)" }
        let host = target.host ?? ""
        return (host.contains(":") ? "[\(host)]" : host) + port
    }

    private static func redirect(_ site: DesiredSite) -> String {
        switch site.wwwRedirect {
        case .www: "send clients on to the name with www."
        case .apex: "send clients on to the name without www."
        case nil: "send clients on to no other name"
        }
    }

    private static func certificate(_ site: DesiredSite) -> [String] {
        switch site.tls.mode {
        case .acme: ["order a certificate, and renew it by itself"]
        case .upload: ["serve the uploaded certificate"]
        case .selfSigned: ["make a certificate that nobody trusts"]
        case .off: []
        }
    }

    /// Nil for anyone.
    private static func access(_ access: EdgeAccess?) -> String? {
        guard let access else { return nil }
        if access.isDenied { return "nobody" }
        var who: [String] = []
        if let basic = access.basic { who.append("\(basic.users.count) by password") }
        if !access.tokenHashes.isEmpty { who.append("holders of a token") }
        if access.forward != nil { who.append("whom a service lets pass") }
        if !access.networks.isEmpty { who.append("by network") }
        return who.isEmpty ? "anyone" : who.joined(separator: ", ")
    }
}
