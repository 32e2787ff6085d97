import Model

/// What a server will do when it gets another document, in words. Pure: it knows both documents and nothing else, so it
/// tells what changes and not how far the server has come; the agent's own plan does that.
public enum DesiredChanges {
    /// - Parameters:
    ///   - old: nil for a server that has none yet.
    ///   - new: nil for a server that is removed.
    public static func steps(from old: DesiredState?, to new: DesiredState?) -> [String] {
        guard let new else {
            return old == nil ? [] : ["its credentials become void; what runs there goes on until `roost agent leave`"]
        }
        var steps = old.map { machine($0, new) } ?? []
        let before = Dictionary((old?.services ?? []).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let after = Set(new.services.map(\.id))
        for service in new.services {
            let changes = before[service.id].map { changed($0, service) } ?? added(service)
            steps += changes.map { "\(service.name): \($0)" }
        }
        for service in old?.services ?? [] where !after.contains(service.id) {
            steps += removed(service).map { "\(service.name): \($0)" }
        }
        return steps + DesiredSiteChanges.steps(from: old, to: new)
    }

    // MARK: the machine

    private static func machine(_ old: DesiredState, _ new: DesiredState) -> [String] {
        var steps: [String] = []
        if old.proxy.bind != new.proxy.bind || old.proxy.port != new.proxy.port {
            steps.append("edge: listen on \(new.proxy.bind):\(new.proxy.port)")
        }
        if old.proxy.tlsPort != new.proxy.tlsPort || new.proxy.tlsPort != nil && old.proxy.bind != new.proxy.bind {
            let port = new.proxy.tlsPort.map { "listen for TLS on \(new.proxy.bind):\($0)" }
            steps.append("edge: \(port ?? "no longer listen for TLS")")
        }
        if old.proxy.trustedNetworks != new.proxy.trustedNetworks {
            let networks = new.proxy.trustedNetworks?.joined(separator: ", ")
            steps.append("edge: believe \(networks ?? "no proxies") about clients")
        }
        if let authority = new.authority, old.authority != nil, old.authority != authority {
            steps.append("certificates: order from \(authority.directoryUrl)")
        }
        if old.dns != new.dns { steps.append("names: answer below \(new.dns.suffix)") }
        let gone = old.peers.filter { !new.peers.contains($0) }
        let come = new.peers.filter { !old.peers.contains($0) }
        steps += come.map { "names: add \($0).\(new.dns.suffix)" }
        steps += gone.map { "names: remove \($0).\(old.dns.suffix)" }
        let allowed = new.sshAllow ?? []
        if old.securityMode != new.securityMode || old.sshAllow ?? [] != allowed {
            let ssh =
                allowed.isEmpty
                ? (new.securityMode == "blocked" ? "from nowhere" : "from anywhere")
                : "from \(allowed.joined(separator: ", "))"
            steps.append("firewall: \(new.securityMode), SSH \(ssh)")
        }
        if old.pollIntervalMs != new.pollIntervalMs {
            steps.append("agent: report every \(Duration.milliseconds(new.pollIntervalMs).shortText)")
        }
        return steps
    }

    // MARK: services

    private static func added(_ service: DesiredService) -> [String] {
        build(service) + (isProcess(service) ? ["start \(instances(service.instances))"] : [])
            + routes(service).map { "route \($0)" }
            + (service.canaryPercent.map { ["give it \($0) % of the requests when healthy"] } ?? [])
    }

    private static func removed(_ service: DesiredService) -> [String] {
        routes(service).map { "no longer route \($0)" }
            + (isProcess(service) ? ["drain and stop \(instances(service.instances))"] : [])
            + ["remove its releases, account and logs"]
    }

    private static func changed(_ old: DesiredService, _ new: DesiredService) -> [String] {
        let isOtherRelease = !isSameRelease(old, new)
        var steps = isOtherRelease ? build(new) : []
        if isOtherRelease || !isSameRun(old, new) {
            steps += replace(old, new)
        } else if isProcess(new), new.instances > old.instances {
            steps.append("start \(new.instances - old.instances) more of \(instances(new.instances))")
        } else if isProcess(new), new.instances < old.instances {
            steps.append("drain and stop \(old.instances - new.instances) of \(instances(old.instances))")
        }
        let (before, after) = (routes(old), routes(new))
        steps += after.filter { !before.contains($0) }.map { "route \($0)" }
        steps += before.filter { !after.contains($0) }.map { "no longer route \($0)" }
        if old.healthCheck != new.healthCheck { steps.append("check by \(check(new.healthCheck))") }
        if old.idleTimeoutMs != new.idleTimeoutMs {
            let after = new.idleTimeoutMs.map { "stop after \(Duration.milliseconds($0).shortText) without a request" }
            steps.append(after ?? "run also without requests")
        }
        steps += edgeChanges(old, new)
        if old.canaryPercent != new.canaryPercent, let percent = new.canaryPercent {
            steps.append("give it \(percent) % of the requests")
        }
        if old.retain != new.retain { steps.append("keep \(new.retain) releases") }
        return steps
    }

    private static func edgeChanges(_ old: DesiredService, _ new: DesiredService) -> [String] {
        var steps: [String] = []
        if old.balance != new.balance {
            let balance = new.balance ?? EdgeBalance()
            let choice = balance.policy == .roundRobin ? "in turn" : "to whoever has the fewest"
            let binding = balance.stickyCookie == nil ? "" : ", each browser to one instance"
            steps.append("give requests \(choice)\(binding), \(balance.retries) tried again at most")
        }
        if old.breaker != new.breaker {
            let rest = new.breaker.map {
                "rest for \(Duration.milliseconds($0.openMs).shortText) after \($0.failures) failures within "
                    + Duration.milliseconds($0.windowMs).shortText
            }
            steps.append(rest ?? "take requests however many fail")
        }
        if old.protocol != new.protocol { steps.append("speak \(new.protocol == .h2c ? "HTTP/2" : "HTTP/1.1") to it") }
        if old.maxBodyBytes != new.maxBodyBytes {
            steps.append(new.maxBodyBytes.map { "take bodies of at most \($0) bytes" } ?? "take bodies of any size")
        }
        if old.staticOptions != new.staticOptions { steps.append("serve its files by other rules") }
        return steps
    }

    private static func build(_ service: DesiredService) -> [String] {
        let fetch =
            service.isUpload
            ? "fetch upload \(service.commit.prefix(12)) from the hub"
            : "fetch \(commit(service.commit)) from \(service.gitUrl)"
        return service.buildCommand.map { [fetch, "build it: \($0)"] } ?? [fetch]
    }

    private static func replace(_ old: DesiredService, _ new: DesiredService) -> [String] {
        guard isProcess(new) else {
            return (isProcess(old) ? ["drain and stop \(instances(old.instances))"] : []) + ["serve its new files"]
        }
        let start = "start \(instances(new.instances))"
        guard isProcess(old) else { return [start, "switch requests to the new when healthy"] }
        let stop = "drain and stop \(instances(old.instances)) of the old release"
        if let port = new.port {
            return ["hold requests", stop, "\(start) on port \(port)", "switch requests to the new when healthy"]
        }
        return [start, "switch requests to the new when healthy", stop]
    }

    private static func isProcess(_ service: DesiredService) -> Bool { service.kind != "static" }

    /// What a release is made from: without a build command the environment has no part in it.
    private static func isSameRelease(_ old: DesiredService, _ new: DesiredService) -> Bool {
        old.gitUrl == new.gitUrl && old.commit == new.commit && old.isUpload == new.isUpload
            && old.buildCommand == new.buildCommand
            && (new.buildCommand == nil || old.env == new.env)
    }

    /// What an instance is started with.
    private static func isSameRun(_ old: DesiredService, _ new: DesiredService) -> Bool {
        old.kind == new.kind && old.runCommand == new.runCommand && old.env == new.env && old.port == new.port
            && old.restartGeneration == new.restartGeneration && old.memoryMaxBytes == new.memoryMaxBytes
            && old.cpuQuota == new.cpuQuota && old.stopSignal == new.stopSignal && old.stopGraceMs == new.stopGraceMs
            && old.publicFolder == new.publicFolder
    }

    private static func routes(_ service: DesiredService) -> [String] {
        guard service.path != nil || !service.hostnames.isEmpty else { return [] }
        let path = service.path ?? "/"
        let hosts = service.hostnames.isEmpty ? [""] : service.hostnames
        return hosts.map { "\($0)\(path)\(service.stripPath ? " (prefix removed)" : "") → \(service.name)" }
    }

    private static func check(_ check: DesiredHealthCheck) -> String {
        let what = check.path.map { "GET \($0)" } ?? "a TCP connection"
        return "\(what) every \(Duration.milliseconds(check.intervalMs).shortText)"
    }

    private static func instances(_ count: Int) -> String { "\(count) instance\(count == 1 ? "" : "s")" }

    private static func commit(_ text: String) -> String {
        let isHash = text.utf8.count >= 40 && text.allSatisfy { $0.isASCII && $0.isHexDigit }
        return isHash ? "commit \(text.prefix(12))" : text
    }
}
