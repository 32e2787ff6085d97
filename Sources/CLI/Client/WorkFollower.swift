import Model
import ResourceKit

/// Follows work until it is done, and shows how it goes.
struct WorkFollower: Sendable {
    private static let pollInterval = Duration.milliseconds(250)
    /// How long the hub may be away (a restart, an upgrade) before following gives up.
    private static let awayMax = Duration.seconds(60)

    let invocation: Invocation
    let directory: Directory
    let limit: Duration

    init(invocation: Invocation, directory: Directory) throws {
        self.invocation = invocation
        self.directory = directory
        limit = try invocation.span("timeout") ?? .seconds(1800)
    }

    /// Waits until a resource is active. A service is followed through its newest deployment, with its output.
    ///
    /// - Throws: `work_failed` with the resource's own message; `timeout`.
    ///
    /// - Parameter title: what people know the work by, when that is not the resource's own name.
    func follow(_ kind: ResourceKind, _ resource: Resource, title: String? = nil) async throws -> Resource {
        if kind.name == "deployment" { return try await deployment(resource, title: title ?? resource.title) }
        if kind.name == "service" {
            let deployments = try await directory.list(try directory.named("deployment"), parentId: resource.id)
            let newest = deployments.max {
                ($0.value["created_at"]?.stringValue ?? "") < ($1.value["created_at"]?.stringValue ?? "")
            }
            if let newest, !Self.isDone(newest.status) || resource.status != "active" {
                _ = try await deployment(newest, title: resource.title)
            }
            // Without a repository it waits for an upload, which is for a person to bring.
            if newest == nil, resource.value["git_url"]?.stringValue == nil { return resource }
        }
        return try await untilDone(kind, resource)
    }

    /// Waits until a resource can no longer be found.
    func untilGone(_ kind: ResourceKind, _ resource: Resource) async throws {
        do {
            _ = try await poll(kind, resource, isDone: { $0.status == "deleted" || $0.status == "failed" })
        } catch let problem as Problem where problem.code == .notFound {
            return
        }
    }

    func untilDone(_ kind: ResourceKind, _ resource: Resource) async throws -> Resource {
        let done = try await poll(kind, resource, isDone: { Self.isDone($0.status) })
        return try outcome(of: done, "\(Directory.title(kind)) \(printable(done.title))")
    }

    /// Follows a deployment with the output of its build.
    private func deployment(_ resource: Resource, title: String) async throws -> Resource {
        let kind = try directory.named("deployment")
        let logs = LogFollower(
            client: directory.client, terminal: invocation.terminal, servers: try await directory.servers(),
            isAside: true)
        let output = Task { try await logs.follow("/deployments/\(HubClient.encoded(resource.id))/logs") }
        defer { output.cancel() }
        let done: Resource
        do {
            done = try await poll(kind, resource, title: title, isDone: { Self.isDone($0.status) })
        } catch let problem as Problem where problem.code == .notFound {
            throw Problem(
                .notFound, "The deployment is gone; its service was deleted, or another one took its place.")
        }
        // The last lines may still be on their way.
        _ = try await withLimit(.seconds(2)) { await output.result }
        return try outcome(of: done, "deployment of \(printable(title))")
    }

    private func outcome(of resource: Resource, _ title: String) throws(Problem) -> Resource {
        guard resource.status == "failed" else { return resource }
        let message = resource.statusMessage.map { printableLines($0) } ?? "The hub gave no reason."
        throw Problem(.workFailed, "The \(title) failed: \(message)")
    }

    static func isDone(_ status: String) -> Bool { ["active", "failed", "deleted", "suspended"].contains(status) }

    private func poll(
        _ kind: ResourceKind, _ resource: Resource, title: String? = nil, isDone: (Resource) -> Bool
    ) async throws -> Resource {
        let clock = ContinuousClock()
        let started = clock.now
        var lastAnswer = started
        var progress = ProgressLine(
            terminal: invocation.terminal, title: title ?? "\(Directory.title(kind)) \(resource.title)")
        defer { progress.clear() }
        while true {
            do {
                let current = try await directory.get(kind, resource.id)
                lastAnswer = clock.now
                if isDone(current) { return current }
                progress.show(current, since: clock.now - started)
            } catch let problem as Problem where problem.code == .hubUnreachable || problem.code == .timeout {
                guard clock.now - lastAnswer < Self.awayMax else { throw problem }
                progress.show("the hub is away", since: clock.now - started)
            }
            guard clock.now - started < limit else {
                throw Problem(
                    .timeout, "After \(limit.shortText) the work is still under way; it goes on without this command.",
                    hint: "See roost \(Directory.command(kind)) show \(resource.id).")
            }
            try await Task.sleep(for: Self.pollInterval)
        }
    }
}

/// Where the work is: redrawn in place on a terminal, a line per change elsewhere.
struct ProgressLine {
    private static let frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]

    private let terminal: Terminal
    private let title: String
    private var last = ""
    private var frame = 0
    private var isDrawn = false

    init(terminal: Terminal, title: String) {
        self.terminal = terminal
        self.title = title
    }

    mutating func show(_ resource: Resource, since elapsed: Duration) {
        let message = resource.statusMessage?.split(separator: "\n").first.map { printable(String($0.prefix(100))) }
        show(resource.status + (message.map { ": \($0)" } ?? ""), since: elapsed)
    }

    mutating func show(_ state: String, since elapsed: Duration) {
        guard terminal.isInteractive else {
            if state != last { terminal.note("\(printable(title)): \(state)") }
            last = state
            return
        }
        let line = "\(Self.frames[frame % Self.frames.count]) \(printable(title)) \(state) \(Ages.measured(elapsed))"
        frame += 1
        // Carriage return and erase-in-line: build output that scrolls by pushes the line down whole.
        terminal.rawNote("\r\u{1B}[2K\(line.prefix(max(20, (terminal.width ?? 80) - 1)))")
        isDrawn = true
    }

    mutating func clear() {
        if isDrawn { terminal.rawNote("\r\u{1B}[2K") }
        isDrawn = false
    }
}

/// Text of several lines, each made safe for a terminal.
func printableLines(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { printable(String($0)) }.joined(separator: "\n")
}
