import Example
import Host
import HubCore
import HubStore
import LinuxHost
import Model
import ResourceKit

/// The sample of `roost up --example`: three repositories made on this machine, and a service for each.
struct SampleStack: Sendable {
    let hub: Hub
    let folder: String
    let edge: SocketAddressText

    /// Makes what is missing, waits until all is live, and prints where.
    func run() async throws {
        for (name, files) in ExampleStack.repositories.sorted(by: { $0.key < $1.key }) {
            try await makeRepository(name, files)
        }
        let stackId = try await hub.ensureStack("default")
        let kind = try hub.declared("service")
        let known = try await hub.list(kind, ListQuery(parentId: stackId, limit: 200), as: .local).items
        var ids: [String] = []
        for spec in ExampleStack.services(base: "file://\(folder)") {
            if let service = known.first(where: { $0["name"] == spec["name"] }), let id = service["id"]?.stringValue {
                ids.append(id)
                continue
            }
            let answer = try await hub.create(
                kind, parentId: stackId, body: spec, options: MutationOptions(), as: .local)
            ids.append(answer.body["id"]?.stringValue ?? "")
        }
        say("Building the sample …")
        for id in ids { try await report(id, kind) }
    }

    private func report(_ id: String, _ kind: ResourceKind) async throws {
        for _ in 0..<1200 {
            let service = try await hub.read(kind, id: id, as: .local)
            let name = service["name"]?.stringValue ?? id
            switch service["status"]?.stringValue {
            case "active":
                return say("  \(name): http://\(edge)\(service["path"]?.stringValue ?? "/")")
            case "failed":
                return say("  \(name): failed: \(service["status_message"]?.stringValue ?? "")")
            default: try await Task.sleep(for: .milliseconds(100))
            }
        }
        say("  \(id): not live yet; the dashboard shows how far it is.")
    }

    /// A repository whose pushes can be tried: `git push` to it, then `roost deploy`.
    private func makeRepository(_ name: String, _ files: [String: String]) async throws {
        let path = "\(folder)/\(name)"
        let disk = LiveFiles()
        guard try await disk.list(path).isEmpty else { return }
        let work = "\(folder)/.making-\(name)"
        try await disk.remove(work)
        for (file, content) in files {
            try await disk.write("\(work)/\(file)", Array(content.utf8), mode: 0o644)
        }
        let identity = ["-c", "user.name=Roost", "-c", "user.email=roost@localhost"]
        try await git(["init", "--quiet", "--initial-branch=main", work])
        try await git(["-C", work, "add", "--all"])
        try await git(["-C", work] + identity + ["commit", "--quiet", "--message", "Sample"])
        try await git(["clone", "--quiet", "--bare", work, path])
        try await disk.remove(work)
    }

    private func git(_ arguments: [String]) async throws {
        let result = try await LiveCommands().run(Command(["git"] + arguments, timeout: .seconds(60)))
        guard result.succeeded else {
            throw Problem(.commandFailed, "The sample repositories could not be made.", context: result.errorText)
        }
    }
}
