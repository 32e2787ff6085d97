import Model
import ResourceKit

/// Resources of any kinds from a file.
enum SeedCommand {
    private static func file(_ summary: String) -> OptionDeclaration {
        OptionDeclaration("file", short: "f", placeholder: "FILE", summary)
    }

    static let seed = CommandDeclaration(
        "seed", "Make the resources of a file that are not there yet, and wait until each is active.",
        discussion: """
            The file holds lists of resources by the plural of their kind, with what is below each nested in it; names
            may stand for ids. examples/seed.yaml shows one. What is there already is left as it is.
            """,
        options: .all([file("The resources as YAML; - reads standard input.")], [.plan], .wait, .connection)
    ) { invocation in
        let (text, name) = try read(invocation)
        let tree = try TreeFile.parse(text, name: name, kinds: invocation.kinds)
        var writer = TreeWriter(
            directory: try invocation.directory(), terminal: invocation.terminal, updates: false,
            isPlan: invocation.isPlan)
        try await writer.write(tree.entries)
        try await finish(writer, invocation)
    }

    private static let apply = CommandDeclaration(
        "apply", "Make a cluster what a file says: it, its region, runtimes, addresses, shards and servers.",
        discussion: "examples/cluster.yaml shows one. What the file does not name is left alone.",
        options: .all([file("The cluster as YAML; - reads standard input.")], [.plan], .wait, .connection)
    ) { invocation in
        let (text, name) = try read(invocation)
        let (region, cluster) = try TreeFile.parseCluster(text, name: name, kinds: invocation.kinds)
        var writer = TreeWriter(
            directory: try invocation.directory(), terminal: invocation.terminal, updates: true,
            isPlan: invocation.isPlan)
        let above = TreeFile.Entry(
            kind: try invocation.kind("region"), spec: ["name": .string(region)], path: "region", below: [cluster])
        try await writer.write([above])
        try await finish(writer, invocation)
    }

    /// The generic commands of clusters, and `apply`.
    static func command(for kind: ResourceKind, in kinds: [ResourceKind]) -> CommandDeclaration {
        var command = KindCommands.command(for: kind, in: kinds)
        command.subcommands.append(apply)
        return command
    }

    private static func read(_ invocation: Invocation) throws -> (text: String, name: String) {
        guard let path = invocation.arguments.value("file") else {
            throw UsageError("Name the file: -f FILE.", path: invocation.path)
        }
        let text = try LocalFiles.read(path, bytesMax: DeclaredYAML.bytesMax)
        return (text, path == "-" ? "standard input" : path)
    }

    /// Each is followed to its end, so that one failure does not hide another.
    private static func finish(_ writer: TreeWriter, _ invocation: Invocation) async throws {
        guard !invocation.isPlan else { return }
        guard !invocation.arguments.has("no-wait") else { return invocation.terminal.line("Accepted.") }
        let follower = try WorkFollower(invocation: invocation, directory: writer.directory)
        var failures: [String] = []
        for resource in writer.touched {
            let kind = try writer.directory.named(resource.kind)
            guard kind.isAsynchronous else { continue }
            do {
                let done = try await follower.follow(kind, resource)
                let status = invocation.terminal.status(done.status)
                invocation.terminal.note("\(Directory.title(kind)) \(printable(done.title)): \(status)")
            } catch let problem as Problem where problem.code == .workFailed {
                invocation.terminal.note(printableLines(problem.message))
                failures.append("\(Directory.title(kind)) \(printable(resource.title))")
            }
        }
        guard failures.isEmpty else {
            throw Problem(.workFailed, "Not everything became active: \(failures.joined(separator: ", ")).")
        }
        invocation.terminal.line("Done.")
    }
}
