import AsyncHTTPClient
import Model
import NIOCore

/// The audit log as a whole: whether it is whole, and as lines.
enum AuditCommands {
    static let verify = CommandDeclaration(
        "verify", "Check that no entry of the audit log was changed or removed.", options: .all([.json], .connection)
    ) { invocation in
        let answer = try await invocation.client().get("/audit-logs/verify")
        if invocation.wantsJSON { invocation.terminal.line(answer.prettyText()) }
        guard answer["is_whole"] == true else {
            let id = answer["first_broken_id"]?.intValue.map { String($0) } ?? "unknown"
            throw Problem(
                .workFailed, "The audit log was changed: entry \(id) is not what was written.",
                hint: "Compare it with an earlier export.")
        }
        if !invocation.wantsJSON { invocation.terminal.line("The audit log is whole.") }
    }

    static let export = CommandDeclaration(
        "export", "Print the whole audit log as lines of JSON, oldest first, each with its hash.",
        options: .all(
            [OptionDeclaration("after", placeholder: "ID", "Only entries with a greater id.")], .connection)
    ) { invocation in
        let after = try invocation.count("after", in: 0...Int.max) ?? 0
        let response = try await invocation.client().stream(
            "/audit-logs/export", query: [("after", String(after))], headers: ["Accept": "application/jsonl"])
        for try await piece in response.body { invocation.terminal.raw(String(buffer: piece)) }
    }
}
