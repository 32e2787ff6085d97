import Model

/// Runs of workflows: what goes on in order, step by step.
enum RunCommands {
    private static let countStandard = 50
    private static let id = ParameterDeclaration("RUN", "Id of the run.")

    static let command = CommandDeclaration(
        "run", aliases: ["runs"], "Work that the hub does step by step, and can undo.",
        subcommands: [
            CommandDeclaration(
                "list", aliases: ["ls"], "List runs, newest first.",
                options: .all(
                    [
                        OptionDeclaration("workflow", placeholder: "NAME", "Only runs of this workflow."),
                        OptionDeclaration("status", placeholder: "STATUS", "Only runs in this status."),
                        OptionDeclaration("limit", placeholder: "NUMBER", "At most this many; 50 when absent."), .json,
                    ], .connection), run: list),
            CommandDeclaration(
                "show", aliases: ["get"], "Show a run with its steps.", parameters: [id],
                options: .all([.json], .connection), run: show),
            CommandDeclaration(
                "cancel", "Stop a run and undo what it did.", parameters: [id],
                options: .all([.yes, .json], .connection), run: cancel),
            CommandDeclaration(
                "retry", "Let a failed or stalled run go on from the step that failed.", parameters: [id],
                options: .all([.json], .connection), run: retry),
        ])

    private static func path(_ invocation: Invocation) throws -> String {
        let id = try invocation.required("RUN")
        guard id.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D }) else {
            throw UsageError("\(printable(String(id.prefix(80)))) is not the id of a run.", path: invocation.path)
        }
        return "/workflow-runs/\(id)"
    }

    private static func list(_ invocation: Invocation) async throws {
        var query: [(String, String)] = []
        for name in ["workflow", "status"] {
            if let value = invocation.arguments.value(name) { query.append((name, value)) }
        }
        let limit = try invocation.count("limit", in: 1...10_000) ?? countStandard
        let runs = try await invocation.client().list("/workflow-runs", query: query, limit: limit)
        if invocation.wantsJSON { return invocation.terminal.line(JSONValue.array(runs).prettyText()) }
        guard !runs.isEmpty else { return invocation.terminal.note("There are no runs.") }
        var table = Table(["ID", "WORKFLOW", "STATUS", "STARTED", "TOOK", "MESSAGE"], statusColumns: [2])
        for run in runs {
            table.rows.append([
                run["id"]?.stringValue ?? "", run["workflow"]?.stringValue ?? "", run["status"]?.stringValue ?? "",
                run["created_at"]?.stringValue.map { Ages.text(since: $0, now: Ages.now()) } ?? "-", took(run),
                run["status_message"]?.stringValue ?? "",
            ])
        }
        invocation.terminal.print(table)
    }

    private static func took(_ value: JSONValue) -> String {
        value["duration_ms"]?.intValue.map { Ages.measured(.milliseconds($0)) } ?? "-"
    }

    private static func show(_ invocation: Invocation) async throws {
        let run = try await invocation.client().get(try path(invocation))
        if invocation.wantsJSON { return invocation.terminal.line(run.prettyText()) }
        print(run, invocation.terminal)
    }

    private static func print(_ run: JSONValue, _ terminal: Terminal) {
        var facts = Table(["FIELD", "VALUE"])
        for name in [
            "id", "workflow", "status", "status_message", "hub", "input", "created_at", "finished_at", "current_step",
        ] {
            guard let value = run[name], !value.isNull else { continue }
            facts.rows.append([name, value.stringValue ?? value.canonicalText])
        }
        terminal.print(facts)
        guard let steps = run["steps"]?.arrayValue, !steps.isEmpty else { return }
        terminal.line("")
        var table = Table(["STEP", "NAME", "STATUS", "ATTEMPTS", "TOOK", "UNDONE", "ERROR"], statusColumns: [2])
        for step in steps {
            table.rows.append([
                step["path"]?.stringValue ?? "", step["name"]?.stringValue ?? "", step["status"]?.stringValue ?? "",
                step["attempts"]?.intValue.map { String($0) } ?? "", took(step),
                step["undo"]?["status"]?.stringValue ?? "-", step["error"]?["error"]?.stringValue ?? "",
            ])
        }
        terminal.print(table)
    }

    private static func cancel(_ invocation: Invocation) async throws {
        let path = try path(invocation)
        try invocation.questions.confirm(
            "Stop the run and undo what it did?", isConfirmed: invocation.isConfirmed)
        try await act("cancel", path, "The run is being stopped, and what it did is undone.", invocation)
    }

    private static func retry(_ invocation: Invocation) async throws {
        try await act("retry", try path(invocation), "The run goes on from the step that failed.", invocation)
    }

    private static func act(_ action: String, _ path: String, _ text: String, _ invocation: Invocation) async throws {
        let answer = try await invocation.client().send("POST", "\(path)/\(action)")
        if invocation.wantsJSON { return invocation.terminal.line(answer.body.prettyText()) }
        invocation.terminal.line(text)
    }
}
