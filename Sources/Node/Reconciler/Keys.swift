import AgentProtocol
import Model

/// Names that follow from content: equal content gives an equal name, so work that was done is found again.
enum Keys {
    /// Names a build: what is fetched, how it is built, and the environment that the build sees.
    static func release(_ service: DesiredService) -> String {
        var parts: [String: JSONValue] = ["url": .string(service.gitUrl), "commit": .string(service.commit)]
        if let command = service.buildCommand {
            parts["build"] = .string(command)
            parts["env"] = .object(service.env.mapValues { .string($0) })
        }
        if service.usesContainers {
            parts["kind"] = .string(service.kind)
            parts["file"] = .string(service.dockerfile ?? service.composeFile ?? "")
        }
        // Values of a compose file, arguments of its builds among them, may come from the environment.
        if service.kind == "compose" {
            parts["env"] = .object(service.env.mapValues { .string($0) })
            parts["port"] = .int(Int64(service.port ?? 0))
        }
        return "\(service.commit.prefix(8))-\(short(.object(parts)))"
    }

    /// Names a way of running a release: a change of it needs new instances.
    static func run(_ service: DesiredService) -> String {
        let parts: [String: JSONValue] = [
            "release": .string(release(service)), "run": .string(service.runCommand ?? ""),
            "env": .object(service.env.mapValues { .string($0) }), "restart": .int(Int64(service.restartGeneration)),
            "port": .int(Int64(service.port ?? 0)), "memory": .int(service.memoryMaxBytes ?? 0),
            "cpu": .string("\(service.cpuQuota ?? 0)"), "signal": .string(service.stopSignal),
            "grace": .int(Int64(service.stopGraceMs)), "folder": .string(service.publicFolder ?? ""),
        ]
        return short(.object(parts))
    }

    static func instanceUnit(_ service: DesiredService, runKey: String, index: Int) -> String {
        "app.\(service.name).\(runKey).\(index)"
    }

    static func buildUnit(_ service: DesiredService, release: String) -> String { "build.\(service.name).\(release)" }

    /// At most 32 characters, the limit of useradd(8), and unique per service name.
    static func account(_ name: String) -> String {
        name.utf8.count <= 24 ? "roost-\(name)" : "roost-\(name.prefix(17))-\(sha256Hex(Array(name.utf8)).prefix(6))"
    }

    /// What a service is called in the container engine, which all agents of a machine share. A service's name is a DNS
    /// label and so fits into names of images, containers and projects.
    static func engineName(_ name: String, id: String) -> String {
        "\(name)-\(sha256Hex(Array(id.utf8)).prefix(8))"
    }

    /// Name of an instance's container, or of its compose project.
    static func engineRun(_ service: DesiredService, runKey: String, index: Int) -> String {
        "roost-\(engineName(service.name, id: service.id))-\(runKey)-\(index)"
    }

    private static func short(_ value: JSONValue) -> String { String(sha256Hex(value.canonicalBytes).prefix(12)) }
}
