import AgentProtocol
import Model

/// Arguments of the docker program. Pure. No value of an environment is ever among them: `ps` shows arguments to all.
enum DockerCommands {
    /// On every container, image and volume that belongs to a service; the value is the service's id.
    static let serviceLabel = "roost.service"
    static let runLabel = "roost.run"
    /// Set by compose on containers and networks.
    static let projectLabel = "com.docker.compose.project"
    static let processesMax = 4096

    /// Repository of a service's images; the tag begins with the release.
    static func repository(_ service: String, id: String) -> String { "roost/\(Keys.engineName(service, id: id))" }

    static func image(_ service: DesiredService) -> String {
        "\(repository(service.name, id: service.id)):\(Keys.release(service))"
    }

    /// - Parameter group: control group of what the build runs, if it has one.
    static func build(_ service: DesiredService, tree: String, group: String?) -> [String] {
        build(
            image(service), of: service, group: group,
            ["--file", "\(tree)/\(service.dockerfile ?? "Dockerfile")"], context: tree)
    }

    static func build(
        _ image: String, of service: DesiredService, group: String?, _ options: [String], context: String
    ) -> [String] {
        ["build", "--progress", "plain", "--tag", image, "--label", "\(serviceLabel)=\(service.id)"]
            + (group.map { ["--cgroup-parent", $0] } ?? []) + options + [context]
    }

    /// The port inside the container.
    static func innerPort(_ service: DesiredService, outer: Int) -> Int { service.port ?? outer }

    /// - Parameter names: variables that the container gets; their values are in the client's environment.
    static func run(_ service: DesiredService, name: String, outerPort: Int, names: [String]) -> [String] {
        var argv = [
            "run", "--rm", "--init", "--name", name, "--pull", "never", "--log-driver", "none",
            "--publish", "127.0.0.1:\(outerPort):\(innerPort(service, outer: outerPort))",
            "--label", "\(serviceLabel)=\(service.id)", "--label", "\(runLabel)=\(name)",
            "--pids-limit", "\(processesMax)",
        ]
        if let bytes = service.memoryMaxBytes {
            // As much memory and swap together: no swap.
            argv += ["--memory", "\(bytes)b", "--memory-swap", "\(bytes)b"]
        }
        if let cpus = service.cpuQuota { argv += ["--cpus", "\(cpus)"] }
        for name in names.sorted() { argv += ["--env", name] }
        guard let command = service.runCommand else { return argv + [image(service)] }
        return argv + ["--entrypoint", "/bin/sh", image(service), "-c", command]
    }

    static func remove(_ container: String) -> [String] { ["rm", "--force", "--volumes", container] }

    /// Of whatever compose knows of the project, without its files.
    static func composeDown(_ project: String, graceMs: Int) -> [String] {
        ["compose", "--project-name", project, "down", "--remove-orphans", "--timeout", "\(wholeSeconds(graceMs))"]
    }

    static func compose(project: String, files: [String], _ rest: [String]) -> [String] {
        ["compose", "--ansi", "never", "--project-name", project] + files.flatMap { ["--file", $0] } + rest
    }

    static func composeUp(project: String, files: [String], graceMs: Int) -> [String] {
        compose(
            project: project, files: files,
            [
                "up", "--no-build", "--remove-orphans", "--no-color", "--quiet-pull", "--timeout",
                "\(wholeSeconds(graceMs))",
            ])
    }

    private static func wholeSeconds(_ milliseconds: Int) -> Int { (milliseconds + 999) / 1000 }

    /// What an exit code of `docker run` means, where it is more than the application's own; see docker-run(1).
    static func explain(exitCode: Int?, _ service: DesiredService) -> String? {
        switch exitCode {
        case 125: "was not started by Docker (exit code 125); the log says why"
        case 126: "has a command that cannot be run in its image (exit code 126)"
        case 127: "has a command that is not in its image (exit code 127)"
        case 137:
            service.memoryMaxBytes.map {
                "was killed (exit code 137), as is whatever goes above its memory limit of \(ByteCount.text($0))"
            } ?? "was killed (exit code 137)"
        default: nil
        }
    }
}
