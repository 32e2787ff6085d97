/// Something changed; pages and waiting requests look again.
public struct HubChange: Sendable, Hashable {
    /// A resource kind, `event`, `log` or `heartbeat`.
    public var kind: String
    public var id: String
    public init(kind: String, id: String) {
        self.kind = kind
        self.id = id
    }
}
