import Host
import Model
public import ResourceKit

/// A site's life: every change of it is a new version of its stack, and it is active once each server has taken that.
struct SiteBehaviour: KindBehaviour {
    private static let certificateFields = [
        "tls", "certificate_pem", "key_pem", "domain", "aliases", "www_redirect",
    ]

    func prepareCreate(_ draft: inout ResourceRecord, _ world: HubWorld) async throws {
        try Self.checkCertificate(draft.spec, world)
    }

    func prepareUpdate(_ spec: [String: JSONValue], of old: ResourceRecord, _ world: HubWorld) async throws {
        // One that has ended must not keep its owner from changing something else.
        guard Self.certificateFields.contains(where: { spec[$0] != old.spec[$0] }) else { return }
        try Self.checkCertificate(spec, world)
    }

    private static func checkCertificate(_ spec: [String: JSONValue], _ world: HubWorld) throws {
        guard spec["tls"] == "upload", let certificate = spec["certificate_pem"]?.stringValue,
            let key = spec["key_pem"]?.stringValue
        else { return }
        let facts = try world.certificates.read(
            certificatePEM: certificate, keyPEM: try world.secrets.open(key))
        guard facts.notAfter > world.clock.now() else {
            throw Problem.invalid("certificate_pem", "has ended on \(facts.notAfter.rfc3339)")
        }
        let bare = Sites.names(spec).filter { !facts.names.contains($0) && !facts.covers($0) }
        guard bare.isEmpty else {
            throw Problem.invalid(
                "certificate_pem",
                "is not for \(bare.prefix(5).joined(separator: ", ")), but for "
                    + (facts.names.isEmpty ? "no name" : facts.names.prefix(5).joined(separator: ", ")))
        }
    }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try Sites.requireNoService(Sites.names(record.spec), of: record, transaction)
        _ = try transaction.put(try Sites.resolved(record, transaction))
        try Sites.bring(record.id, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        if Sites.names(old.spec) != Sites.names(new.spec) {
            try Sites.requireNoService(Sites.names(new.spec), of: new, transaction)
        }
        _ = try transaction.put(try Sites.resolved(new, transaction))
        try Sites.bring(new.id, transaction)
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard action.name == "retry" else {
            throw Problem(.internalError, "site has no action \(action.name).")
        }
        guard record.status != .deleting else { return record }
        var next = try Sites.resolved(record, transaction)
        next.state["certificate_attempt"] = .int((Sites.attempt(record) ?? 0) + 1)
        _ = try transaction.put(next)
        try Sites.bring(record.id, transaction)
        return try transaction.get("site", record.id) ?? record
    }

    /// It stays as `deleting` until no server has it any more.
    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        var leaving = try transaction.get("site", record.id) ?? record
        let stackId = leaving.parentId ?? ""
        try touchStack(stackId, transaction)
        leaving.state["required_generation"] = try transaction.get("stack", stackId)?.state["version"]
        leaving.status = .deleting
        leaving.statusMessage = try Sites.sharing(leaving, transaction)
        leaving.state["leaving_note"] = leaving.statusMessage.map { .string($0) }
        _ = try transaction.put(leaving)
        return try transaction.all("node", parentId: nil).allSatisfy { node in
            node.spec["stack_id"]?.stringValue != stackId || node.state["is_silent"] == true
        }
    }
}

extension Sites {
    /// How often somebody asked for its certificate to be ordered at once; nil for never.
    static func attempt(_ site: ResourceRecord) -> Int64? { site.state["certificate_attempt"]?.intValue }

    /// Makes a site and what it needs part of a new version of its stack.
    static func bring(_ siteId: String?, _ transaction: any ResourceTransaction) throws {
        guard let siteId, var site = try transaction.get("site", siteId), let stackId = site.parentId,
            site.status != .deleting
        else { return }
        try touchStack(stackId, transaction)
        site.state["required_generation"] = try transaction.get("stack", stackId)?.state["version"]
        if site.status != .pending { site.status = .provisioning }
        site.statusMessage = nil
        _ = try transaction.put(site)
    }

    /// The site with the services that it names looked up.
    /// - Throws: `invalid` when a name is none of a service.
    static func resolved(_ site: ResourceRecord, _ transaction: any ResourceTransaction) throws -> ResourceRecord {
        let services = try transaction.all("service", parentId: site.parentId)
        func service(_ reference: String) -> ResourceRecord? {
            services.first { $0.id == reference } ?? services.first { $0.spec["name"]?.stringValue == reference }
        }
        var site = site
        site.state["forward_service_id"] = nil
        var found: [String: JSONValue] = [:]
        for (path, text) in upstreams(site.spec) {
            switch SiteUpstream(text) {
            case .service(let name):
                guard let service = service(name) else {
                    throw Problem.invalid(
                        field(ofPath: path),
                        "is \"\(name)\", which is no service of the stack (\(known(services))); "
                            + "write HOST:PORT or CONTAINER:PORT for anything else")
                }
                found[path] = .string(service.id)
            case .container(let name, _) where !text.hasPrefix("container:") && service(name) != nil:
                throw Problem.invalid(
                    field(ofPath: path),
                    "names the service \(name) with a port; write \(name) alone, or container:\(text) for a container")
            default: break
            }
        }
        if site.spec["upstream_protocol"] == "h2c", found.count == upstreams(site.spec).count {
            throw Problem.invalid(
                "upstream_protocol", "is for containers and hosts; a service says what it speaks in its own protocol")
        }
        site.state["service_id"] = found.removeValue(forKey: rootPath)
        site.state["path_services"] = found.isEmpty ? nil : .object(found)
        if let name = site.spec["forward_auth"]?["service"]?.stringValue {
            guard let found = service(name) else {
                throw Problem.invalid("forward_auth.service", "is no service of the stack (\(known(services)))")
            }
            site.state["forward_service_id"] = .string(found.id)
        }
        return site
    }

    private static func known(_ services: [ResourceRecord]) -> String {
        let names = services.compactMap { $0.spec["name"]?.stringValue }.sorted()
        guard !names.isEmpty else { return "it has none" }
        return names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
    }

    /// Two routes for one host would fight.
    /// - Throws: `conflict` when a service has one of the names.
    static func requireNoService(
        _ names: [String], of site: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws {
        let wanted = Set(names)
        for service in try transaction.all("service", parentId: nil) {
            for host in service.spec["hostnames"]?.arrayValue ?? [] {
                let name = Names.normalizedHost(host.stringValue ?? "")
                guard wanted.contains(name) else { continue }
                let isNear = service.parentId == site.parentId
                let title = isNear ? "the service \(service.spec["name"]?.stringValue ?? "")" : "another service"
                throw Problem(
                    .conflict, "\(name) is a host name of \(title) already.",
                    hint: "Take it out of the service's hostnames first.",
                    fields: ["domain": "is taken already"])
            }
        }
    }

    /// - Throws: `conflict` when a site has one of a service's host names.
    static func requireNoSite(_ service: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        for host in service.spec["hostnames"]?.arrayValue ?? [] {
            let name = Names.normalizedHost(host.stringValue ?? "")
            guard try transaction.claimHolder("host/\(name)") != nil else { continue }
            throw Problem(
                .conflict, "\(name) is the domain of a site already.",
                hint: "The site is in front of the service; it needs no host name of its own.",
                fields: ["hostnames": "has a name that is taken already"])
        }
    }

    /// - Throws: `conflict` when a site needs the service, as it would lose what it is in front of.
    static func requireNoneOn(_ service: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        let sites = try transaction.all("site", parentId: service.parentId).filter { site in
            site.status != .deleting && neededServices(site).contains { $0.id == service.id }
        }
        guard let first = sites.first?.spec["domain"]?.stringValue else { return }
        let others = sites.count > 1 ? " and \(sites.count - 1) more" : ""
        throw Problem(
            .conflict,
            "The service is in use by the site\(sites.count > 1 ? "s" : "") \(first)\(others).",
            hint: "Point them elsewhere or remove them first: roost site unprovision \(first).")
    }

    /// What stays when a site goes, as another one uses it; nil when nobody does.
    static func sharing(_ site: ResourceRecord, _ transaction: any ResourceTransaction) throws -> String? {
        let rest = try transaction.all("site", parentId: site.parentId).filter {
            $0.id != site.id && $0.status != .deleting
        }
        var told: Set<String> = []
        let sentences = try upstreams(site.spec).compactMap { path, text -> String? in
            guard let key = upstreamKey(site, path, text), told.insert(key).inserted else { return nil }
            let others = rest.filter { other in
                upstreams(other.spec).contains { upstreamKey(other, $0.path, $0.text) == key }
            }.compactMap { $0.spec["domain"]?.stringValue }.sorted()
            guard let first = others.first else { return nil }
            let users = others.count > 1 ? "\(first) and \(others.count - 1) more use" : "\(first) uses"
            return "\(try title(site, path, text, transaction)) stays, as \(users) it too."
        }
        return sentences.isEmpty ? nil : sentences.joined(separator: " ")
    }

    private static func title(
        _ site: ResourceRecord, _ path: String, _ text: String, _ transaction: any ResourceTransaction
    ) throws -> String {
        guard let id = serviceId(site, path), let service = try transaction.get("service", id) else { return text }
        return "The service \(service.spec["name"]?.stringValue ?? id)"
    }

    /// Equal for sites that are in front of the same.
    private static func upstreamKey(_ site: ResourceRecord, _ path: String, _ text: String) -> String? {
        switch SiteUpstream(text) {
        case .service?: serviceId(site, path)
        case .some(let other): "\(other)"
        case nil: nil
        }
    }

    /// The service that was found for a path; nil where something else is.
    static func serviceId(_ site: ResourceRecord, _ path: String) -> String? {
        (path == rootPath ? site.state["service_id"] : site.state["path_services"]?[path])?.stringValue
    }

    /// Every service that a site needs, with what the site calls it.
    public static func neededServices(_ site: ResourceRecord) -> [(id: String, name: String)] {
        let asked = site.state["forward_service_id"]?.stringValue.map {
            (id: $0, name: site.spec["forward_auth"]?["service"]?.stringValue ?? $0)
        }
        return upstreams(site.spec).compactMap { path, text in serviceId(site, path).map { (id: $0, name: text) } }
            + [asked].compactMap { $0 }
    }
}
