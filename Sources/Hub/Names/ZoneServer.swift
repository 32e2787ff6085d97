public import Model

/// A name server that zones can be put on.
public protocol ZoneServer: Sendable {
    /// The zone as it is there; nil when there is none.
    /// - Throws: ``ZoneServerFailure``.
    func zone(_ name: String) async throws -> ServedZone?
    /// Makes a zone; fine when it is there already.
    /// - Throws: ``ZoneServerFailure``.
    func create(_ name: String, sets: [RecordSet]) async throws
    /// Makes all of these changes or none.
    /// - Throws: ``ZoneServerFailure``.
    func change(_ name: String, _ changes: [RecordSetChange]) async throws
    /// Removes a zone; fine when there is none.
    /// - Throws: ``ZoneServerFailure``.
    func delete(_ name: String) async throws
}

/// Why a name server did not do what it was asked.
public enum ZoneServerFailure: Error, Sendable, Equatable {
    /// It cannot be used at all at the moment; trying again later may work.
    case away(String)
    /// It has trouble with this zone; trying again later may work.
    case troubled(String)
    /// It does not take this.
    case refused(String)

    /// What a person is told.
    public var message: String {
        switch self {
        case .away(let message), .troubled(let message), .refused(let message): message
        }
    }
}

/// Where a name server's API is, and the key for it.
public struct ZoneServerAddress: Sendable, Hashable {
    public var url: String
    /// Sealed.
    public var key: String

    public init(url: String, key: String) {
        self.url = url
        self.key = key
    }

    /// The one that the settings of the platform or of a shard name.
    public init?(_ spec: [String: JSONValue]) {
        guard let url = spec["dns_api_url"]?.stringValue else { return nil }
        self.init(url: url, key: spec["dns_api_key"]?.stringValue ?? "")
    }
}
