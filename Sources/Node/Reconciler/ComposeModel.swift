import AgentProtocol
import Model

/// What `docker compose config --format json` says of a compose file, and what Roost adds to it. Pure.
struct ComposeModel {
    /// Names that are looked for, in this order, as compose does.
    static let usualFiles = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]
    /// Beside the files of the release.
    static let additionsFile = ".roost-compose.json"
    /// Stands for the port that is assigned later, while the file is looked at.
    static let standInPort = 64_999

    private let services: [String: JSONValue]
    private let volumes: [String: JSONValue]
    private let project: String

    /// - Parameter project: name under which the file was read.
    init(_ json: JSONValue, project: String) {
        services = json["services"]?.objectValue ?? [:]
        volumes = json["volumes"]?.objectValue ?? [:]
        self.project = project
    }

    /// Images that are not built, and must be there before the start.
    var pulledImages: [String] {
        Set(services.values.filter { $0["build"]?.objectValue == nil }.compactMap { $0["image"]?.stringValue }).sorted()
    }

    private var builtServices: [String] {
        services.filter { $0.value["build"]?.objectValue != nil }.keys.sorted()
    }

    /// Each release has its own images, so that an older one can be run again.
    func builtImages(_ service: DesiredService) -> [String: String] {
        Dictionary(uniqueKeysWithValues: builtServices.map { ($0, Self.image($0, of: service)) })
    }

    /// Members of `build` that `builds` understands. Tags are left out, since each release has images of its own.
    private static let understood: Set<String> = [
        "context", "dockerfile", "args", "target", "labels", "network", "extra_hosts", "additional_contexts",
        "no_cache",
        "pull", "cache_from", "shm_size", "tags",
    ]
    /// Would steer the engine's client, since arguments of a build reach it by its environment.
    private static let clientNames = [
        "PATH", "HOME", "LC_ALL", "XDG_RUNTIME_DIR", "DOCKER_", "BUILDX_", "BUILDKIT_", "LD_",
    ]

    /// Why a build of this file could not be held to a limit; nil when all can. Compose itself hands no limit on.
    var limitFlaw: String? {
        for name in builtServices {
            let build = services[name]?["build"]?.objectValue ?? [:]
            if let member = build.keys.sorted().first(where: { !Self.understood.contains($0) }) {
                return "Service \(name) of the compose file has build.\(member), which only compose itself builds, and "
                    + "compose hands no limit on."
            }
            for argument in (build["args"]?.objectValue ?? [:]).keys.sorted()
            where Self.clientNames.contains(where: { $0.hasSuffix("_") ? argument.hasPrefix($0) : argument == $0 }) {
                return "Service \(name) of the compose file has the build argument \(argument), which would steer the "
                    + "docker program; another name for it would allow the limit."
            }
            let contexts = build["additional_contexts"]?.objectValue ?? [:]
            if contexts.values.contains(where: { $0.stringValue?.hasPrefix("service:") == true }) {
                return "Service \(name) of the compose file is built from another service's image, which only compose "
                    + "itself does, and compose hands no limit on."
            }
        }
        return nil
    }

    /// One run of the engine's client.
    struct Build: Equatable {
        var argv: [String]
        /// Build arguments, for the client's environment: `ps` shows argv to all.
        var arguments: [String: String]
    }

    /// What `docker compose build` would do, each build below a control group.
    func builds(_ service: DesiredService, group: String) -> [Build] {
        builtServices.map { name in
            let build = services[name]?["build"] ?? [:]
            let context = build["context"]?.stringValue ?? "."
            let file = build["dockerfile"]?.stringValue ?? "Dockerfile"
            // A remote context has its Dockerfile inside, named from its root.
            let isElsewhere = file.hasPrefix("/") || !context.hasPrefix("/")
            var options = ["--file", isElsewhere ? file : "\(context)/\(file)"]
            let arguments = (build["args"]?.objectValue ?? [:]).compactMapValues(\.stringValue)
            for key in arguments.keys.sorted() { options += ["--build-arg", key] }
            for (member, flag) in [("target", "--target"), ("network", "--network"), ("shm_size", "--shm-size")] {
                if let value = build[member]?.stringValue { options += [flag, value] }
            }
            for (key, value) in (build["labels"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
                options += ["--label", "\(key)=\(value.stringValue ?? "")"]
            }
            for (key, value) in (build["additional_contexts"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
                options += ["--build-context", "\(key)=\(value.stringValue ?? "")"]
            }
            for (member, flag) in [("extra_hosts", "--add-host"), ("cache_from", "--cache-from")] {
                for value in (build[member]?.arrayValue ?? []).compactMap(\.stringValue) { options += [flag, value] }
            }
            for (member, flag) in [("no_cache", "--no-cache"), ("pull", "--pull")] where build[member] == true {
                options.append(flag)
            }
            let argv = DockerCommands.build(
                Self.image(name, of: service), of: service, group: group, options, context: context)
            return Build(argv: argv, arguments: arguments)
        }
    }

    private static func image(_ name: String, of service: DesiredService) -> String {
        // A tag has at most 128 characters; the release has 21 of them.
        let suffix = name.utf8.count <= 90 ? name : String(sha256Hex(Array(name.utf8)).prefix(32))
        return "\(DockerCommands.image(service))-\(suffix)"
    }

    /// Why two releases of this file could not run beside each other, or could not be reached; nil when all is well.
    func flaw(port: Int?) -> String? {
        guard !services.isEmpty else { return "The compose file has no services." }
        let wanted = String(port ?? Self.standInPort)
        var isReachable = false
        for (name, service) in services.sorted(by: { $0.key < $1.key }) {
            if service["network_mode"]?.stringValue == "host" { isReachable = true }
            if port == nil, let fixed = service["container_name"]?.stringValue {
                return
                    "Service \(name) of the compose file has the fixed container_name \(fixed), so that two releases "
                    + "could not run beside each other: remove it, or give the service of Roost a fixed port."
            }
            for published in (service["ports"]?.arrayValue ?? []).compactMap({ $0["published"]?.stringValue }) {
                if published == wanted {
                    isReachable = true
                } else if port == nil, !published.isEmpty {
                    return "Service \(name) of the compose file publishes the fixed port \(published), which two "
                        + "releases could not share: publish ${PORT}, or give the service of Roost a fixed port."
                }
            }
        }
        guard !isReachable else { return nil }
        return port.map { "No service of the compose file publishes port \($0)." }
            ?? "No service of the compose file publishes ${PORT}, as in \"127.0.0.1:${PORT}:80\"."
    }

    /// A second compose file: images per release, names of volumes that all releases share, labels, bounded logs.
    func additions(_ service: DesiredService) -> JSONValue {
        let label: JSONValue = [DockerCommands.serviceLabel: .string(service.id)]
        let images = builtImages(service)
        let parts = services.map { name, old -> (String, JSONValue) in
            var part: [String: JSONValue] = ["labels": label]
            if let image = images[name] {
                part["image"] = .string(image)
                part["build"] = ["labels": label]
            }
            if old["logging"]?.objectValue == nil { part["logging"] = ["driver": "local"] }
            return (name, .object(part))
        }
        var document: [String: JSONValue] = ["services": .object(Dictionary(uniqueKeysWithValues: parts))]
        // Compose would name them after the project, and each release has a project of its own.
        let own = volumes.filter { key, volume in
            volume["external"]?.boolValue != true && volume["name"]?.stringValue == "\(project)_\(key)"
        }
        if !own.isEmpty {
            document["volumes"] = .object(
                Dictionary(
                    uniqueKeysWithValues: own.keys.map { key in
                        (key, ["name": .string(Self.volume(key, of: service)), "labels": label] as JSONValue)
                    }))
        }
        return .object(document)
    }

    /// The same for all releases of the service.
    static func volume(_ key: String, of service: DesiredService) -> String {
        "roost-\(Keys.engineName(service.name, id: service.id))_\(key)"
    }
}
