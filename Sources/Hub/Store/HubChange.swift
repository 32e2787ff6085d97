/// Something changed; pages and waiting requests look again.
public struct HubChange: Sendable, Hashable {
    /// A resource kind, `event`, `log`, `heartbeat` or `workflow-run`.
    public var kind: String
    public var id: String
    /// The kind of a change that is about a run of a workflow.
    public static let workflowRun = "workflow-run"

    public init(kind: String, id: String) {
        self.kind = kind
        self.id = id
    }
}
