public import Model

/// A procedure with an order and an undo, written as plain asynchronous Swift with named steps.
///
/// The body may be run again from its beginning at any time; steps that are in the journal give what they gave before
/// and are not run again. So the body must do the same with the same results: everything that touches the world, and
/// everything that can differ from one run to the next, is inside a step or comes from the context.
public struct WorkflowDefinition: Sendable {
    /// What becomes of a run whose body threw.
    public enum FailurePolicy: Sendable, Equatable {
        /// What was done is undone, in reverse order.
        case undo
        /// The run is put aside as it is, until a person lets it try again or cancels it, which undoes it.
        case wait
    }

    public var name: String
    /// Raised with every change that alters names or order of steps. Runs go on with the version that they began with,
    /// so the older definition stays registered until its last run has ended.
    public var version: Int
    public var onFailure: FailurePolicy
    let body: @Sendable (WorkflowContext, JSONValue) async throws -> JSONValue

    public init<Input: WorkflowValue, Output: WorkflowValue>(
        _ name: String, version: Int = 1, onFailure: FailurePolicy = .undo,
        _ body: @escaping @Sendable (WorkflowContext, Input) async throws -> Output
    ) {
        precondition(version > 0 && !name.isEmpty && name.utf8.count <= WorkflowLimits.nameBytesMax)
        self.name = name
        self.version = version
        self.onFailure = onFailure
        self.body = { context, input in
            let value: Input
            do { value = try Input(journaled: input) } catch {
                throw Problem(.invalid, "The input does not fit the workflow \(name).", context: "\(error)")
            }
            return try await body(context, value).journaled()
        }
    }
}

extension Problem.Code {
    /// Somebody asked for the run to be cancelled.
    public static let cancelled = Self("cancelled")
    /// A run's journal does not fit the program that should go on with it.
    public static let historyChanged = Self("history_changed")
    /// Another hub has taken the run over.
    public static let leaseLost = Self("lease_lost")
}
