public import AgentProtocol
import Model
public import ResourceKit

/// Compiles a stack to the document of one node. Pure: equal input gives an equal document.
public enum StackCompilation {
    /// - Parameters:
    ///   - deployments: the deployments that services name as `deployment_id`, by id.
    ///   - sites: the sites of the stack, in any order.
    ///   - open: opens a sealed secret.
    /// - Throws: whatever `open` throws; a stored spec that cannot be read is an internal error.
    public static func compile(
        stack: ResourceRecord, services: [ResourceRecord], deployments: [String: ResourceRecord],
        sites: [SiteRecords] = [], nodeId: String, open: (String) throws -> String
    ) throws -> DesiredState {
        let serviceIds = Set(services.map(\.id))
        let desiredSites = try sites.compactMap { try SiteCompilation.compile($0, serviceIds: serviceIds, open: open) }
            .sorted { $0.domain < $1.domain }
        let desired = try services.compactMap { try compile($0, deployments: deployments, open: open) }
        return DesiredState(
            nodeId: nodeId, stackId: stack.id, stackName: stack.spec["name"]?.stringValue ?? "",
            generation: stack.state["version"]?.intValue ?? 0,
            pollIntervalMs: milliseconds(stack.spec["poll_interval"], default: 10_000),
            proxy: proxy(stack.spec["proxy"], hasTLS: desiredSites.contains { $0.tls.mode != .off }),
            dns: DesiredDNS(suffix: stack.spec["dns"]?["suffix"]?.stringValue ?? "svc.internal"),
            securityMode: stack.spec["security_mode"]?.stringValue ?? "open",
            sshAllow: (stack.spec["ssh_allow"]?.arrayValue ?? []).compactMap(\.stringValue),
            peers: services.compactMap { $0.spec["name"]?.stringValue }.sorted(),
            services: desired.sorted { $0.name < $1.name }, sites: desiredSites.isEmpty ? nil : desiredSites,
            authority: desiredSites.contains { $0.tls.mode == .acme } ? authority(stack.spec["acme"]) : nil)
    }

    /// Nobody listens for TLS before there is a site that wants it.
    private static func proxy(_ spec: JSONValue?, hasTLS: Bool) -> DesiredProxy {
        let trusted = (spec?["trusted_networks"]?.arrayValue ?? []).compactMap(\.stringValue)
        return DesiredProxy(
            bind: spec?["bind"]?.stringValue ?? "0.0.0.0", port: Int(spec?["port"]?.intValue ?? 80),
            tlsPort: hasTLS ? Int(spec?["tls_port"]?.intValue ?? 443) : nil,
            trustedNetworks: trusted.isEmpty ? nil : trusted)
    }

    private static func authority(_ spec: JSONValue?) -> DesiredAuthority {
        DesiredAuthority(
            directoryUrl: spec?["directory_url"]?.stringValue ?? letsEncryptURL,
            contacts: (spec?["contacts"]?.arrayValue ?? []).compactMap { $0.stringValue.map { "mailto:\($0)" } },
            rootsPem: text(spec?["roots_pem"]))
    }

    /// A service that never got a source is not part of the document.
    private static func compile(
        _ service: ResourceRecord, deployments: [String: ResourceRecord], open: (String) throws -> String
    ) throws -> DesiredService? {
        guard let id = service.state["deployment_id"]?.stringValue, let deployment = deployments[id],
            let source = DeploymentSource(of: deployment), let name = service.spec["name"]?.stringValue,
            let snapshot = deployment.state["snapshot"]
        else { return nil }
        let isUpload = deployment.state["upload"] != nil
        let url = isUpload ? "" : snapshot["git_url"]?.stringValue ?? ""
        let usesSSH = !isUpload && (url.hasPrefix("ssh://") || !url.contains("://"))
        let key = try usesSSH ? service.state["deploy_key_private"]?.stringValue.map(open) : nil
        var desired = DesiredService(
            id: service.id, name: name, kind: snapshot["kind"]?.stringValue ?? "process", deploymentId: id,
            gitUrl: url, commit: source.id, isUpload: isUpload, gitSshKey: key,
            buildCommand: text(snapshot["build_command"]),
            buildTimeoutMs: milliseconds(snapshot["build_timeout"], default: 900_000),
            buildMemoryMaxBytes: snapshot["build_memory_max"].flatMap(ByteCount.parse(json:)),
            runCommand: text(snapshot["run_command"]), publicFolder: text(snapshot["public_folder"]),
            port: snapshot["port"]?.intValue.map { Int($0) }, path: service.spec["path"]?.stringValue,
            stripPath: service.spec["strip_path"]?.boolValue ?? false,
            hostnames: (service.spec["hostnames"]?.arrayValue ?? []).compactMap {
                $0.stringValue.map(Names.normalizedHost)
            }
            .sorted(),
            env: try environment(snapshot["env"], open: open), healthCheck: healthCheck(service.spec["health_check"]),
            memoryMaxBytes: snapshot["memory_max"].flatMap(ByteCount.parse(json:)),
            cpuQuota: snapshot["cpu_quota"]?.doubleValue, instances: Int(snapshot["instances"]?.intValue ?? 1),
            stopSignal: snapshot["stop_signal"]?.stringValue ?? "TERM",
            stopGraceMs: milliseconds(snapshot["stop_grace"], default: 10_000),
            retain: Int(service.spec["retain"]?.intValue ?? 5),
            restartGeneration: Int(deployment.state["restart_generation"]?.intValue ?? 0),
            idleTimeoutMs: service.spec["idle_timeout"].flatMap { Duration(json: $0) }.map { Int($0.milliseconds) })
        desired.dockerfile = text(snapshot["dockerfile"])
        desired.composeFile = text(snapshot["compose_file"])
        desired.balance = balance(service.spec["balance"], serviceId: service.id)
        desired.protocol = service.spec["protocol"] == "h2c" ? .h2c : nil
        desired.maxBodyBytes = service.spec["max_body_size"].flatMap(ByteCount.parse(json:))
        desired.breaker = breaker(service.spec["breaker"])
        desired.staticOptions = desired.kind == "static" ? staticOptions(service.spec["files"]) : nil
        desired.canaryOf = service.state["canary_of"]?.stringValue
        desired.canaryPercent = service.state["canary_percent"]?.intValue.map { Int($0) }
        return desired
    }

    private static func environment(
        _ value: JSONValue?, open: (String) throws -> String
    ) throws -> [String: String] {
        try (value?.objectValue ?? [:]).compactMapValues { entry in
            if let text = entry.stringValue { return text }
            guard let text = entry["value"]?.stringValue else { return nil }
            return entry["secret"] == true ? try open(text) : text
        }
    }

    private static func healthCheck(_ spec: JSONValue?) -> DesiredHealthCheck {
        DesiredHealthCheck(
            path: spec?["path"]?.stringValue, intervalMs: milliseconds(spec?["interval"], default: 5000),
            timeoutMs: milliseconds(spec?["timeout"], default: 2000),
            graceMs: milliseconds(spec?["grace"], default: 60_000),
            healthyThreshold: Int(spec?["healthy_threshold"]?.intValue ?? 1),
            unhealthyThreshold: Int(spec?["unhealthy_threshold"]?.intValue ?? 3))
    }

    /// Nil where all is as it would be without.
    ///
    /// Each service has a cookie of its own: on one host the cookie of one would take the place of another's.
    private static func balance(_ spec: JSONValue?, serviceId: String) -> EdgeBalance? {
        let balance = EdgeBalance(
            policy: spec?["policy"] == "round-robin" ? .roundRobin : .leastConnections,
            stickyCookie: spec?["sticky"] == true
                ? "roost_instance_\(sha256Hex(Array(serviceId.utf8)).prefix(8))" : nil,
            retries: Int(spec?["retries"]?.intValue ?? 1))
        return balance == EdgeBalance() ? nil : balance
    }

    private static func breaker(_ spec: JSONValue?) -> EdgeBreaker? {
        guard let failures = spec?["failures"]?.intValue else { return nil }
        return EdgeBreaker(
            failures: Int(failures), windowMs: milliseconds(spec?["window"], default: 10_000),
            openMs: milliseconds(spec?["rest"], default: 10_000))
    }

    private static func staticOptions(_ spec: JSONValue?) -> EdgeStaticOptions {
        EdgeStaticOptions(
            fallback: text(spec?["fallback"]), notFoundPage: text(spec?["not_found_page"]),
            cacheControl: text(spec?["cache_control"]), cachesHashedNames: spec?["caches_hashed_names"] == true)
    }

    private static func milliseconds(_ value: JSONValue?, default fallback: Int) -> Int {
        value.flatMap { Duration(json: $0) }.map { Int($0.milliseconds) } ?? fallback
    }

    private static func text(_ value: JSONValue?) -> String? {
        guard let text = value?.stringValue, !text.isEmpty else { return nil }
        return text
    }

}
