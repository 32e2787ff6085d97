import Model
public import Workflow

/// A workflow that a kind brings along: what its behaviour starts, with an order and an undo.
///
/// The behaviour starts a run with ``ResourceTransaction/startRun(of:input:)`` inside the transaction that changes the
/// resource, so that there is never one without the other.
public struct KindWorkflow: Sendable {
    public var name: String
    /// The newest version, and older ones for as long as runs of them may go on.
    public var definitions: @Sendable (any WorkflowDesk) -> [WorkflowDefinition]

    public init(_ name: String, _ definitions: @escaping @Sendable (any WorkflowDesk) -> [WorkflowDefinition]) {
        self.name = name
        self.definitions = definitions
    }
}

/// What the steps of a workflow have of the hub.
public protocol WorkflowDesk: Sendable {
    var world: HubWorld { get }
    /// Reads one snapshot of the store.
    /// - Throws: `storage_failed`; whatever `body` throws.
    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any ResourceTransaction) throws -> Result
    ) async throws -> Result
    /// Runs a transaction, and tells pages and waiting agents of it. The body may run more than once.
    /// - Throws: `storage_failed`; whatever `body` throws.
    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any ResourceTransaction) throws -> Result
    ) async throws -> Result
    /// Removes a record that had stayed as `deleting`, and each one above that only waited for it.
    func finishDeletion(_ kind: String, _ id: String, _ transaction: any ResourceTransaction) throws
}
