import Crypto
public import Model

/// A heartbeat as it was sent, with what changes from one to the next apart from what stays. What stays is not read: it
/// is told by its digest whether a hub has read it before.
public struct HeartbeatParts: Sendable {
    /// Of all members that stay, in the order and the spelling in which they were sent.
    public struct Digest: Sendable, Equatable {
        fileprivate let sum: SHA256.Digest
    }

    public let lasting: Digest
    public let sequence: Int64
    public let machine: JSONValue
    public let requests: JSONValue
    public let traffic: [String: TrafficReport]
    public let memoryBytes: [String: Int64]

    /// Nil for what is no heartbeat at first sight; why not is then for ``WireCoding`` to say.
    public init?(_ body: [UInt8]) {
        var hash = SHA256()
        var changing: [String: JSONValue] = [:]
        let isWhole = body.withUnsafeBufferPointer { bytes in
            guard let members = JSONMembers.find(in: bytes) else { return false }
            for member in members {
                if Self.changing.contains(member.name) {
                    // What cannot be read is told of by the reader of whole heartbeats.
                    let text = UnsafeBufferPointer(rebasing: bytes[member.valuePlace])
                    guard let value = try? JSONParser.parse(text) else { return false }
                    changing[member.name] = value
                } else {
                    let raw = UnsafeRawBufferPointer(bytes)
                    hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: raw[member.namePlace]))
                    hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: raw[member.valuePlace]))
                }
            }
            return true
        }
        guard isWhole, let sequence = changing["sequence"]?.intValue, let machine = changing["machine"],
            changing["events_pending"]?.intValue != nil, let requests = changing["requests"],
            requests.objectValue?.values.allSatisfy({ $0.intValue != nil }) == true,
            let traffic = Self.map(changing["traffic"], TrafficReport.init),
            let memory = Self.map(changing["memory_bytes"], \.intValue)
        else { return nil }
        lasting = Digest(sum: hash.finalize())
        self.sequence = sequence
        self.machine = machine
        self.requests = requests
        self.traffic = traffic
        memoryBytes = memory
    }

    /// Empty for a member that is not there, nil for one that does not fit.
    private static func map<Value>(_ value: JSONValue?, _ read: (JSONValue) -> Value?) -> [String: Value]? {
        guard let value, !value.isNull else { return [:] }
        guard let members = value.objectValue else { return nil }
        let values = members.compactMapValues(read)
        return values.count == members.count ? values : nil
    }

    private static let changing: Set<String> = [
        "sequence", "machine", "requests", "traffic", "events_pending", "memory_bytes",
    ]
}

extension [ServiceReport] {
    /// The reports without what changes all the time, and that apart, by service id.
    public var withoutMemory: (reports: [ServiceReport], memoryBytes: [String: Int64]) {
        var reports = self
        var memory: [String: Int64] = [:]
        for index in reports.indices {
            guard let bytes = reports[index].memoryBytes else { continue }
            memory[reports[index].serviceId] = bytes
            reports[index].memoryBytes = nil
        }
        return (reports, memory)
    }
}

extension TrafficReport {
    /// As ``WireCoding`` reads it, for those who read thousands a second.
    fileprivate init?(_ value: JSONValue) {
        guard let requests = value["requests_per_second"]?.doubleValue,
            let errors = value["errors_per_second"]?.doubleValue
        else { return nil }
        self.init(requestsPerSecond: requests, errorsPerSecond: errors)
        for (name, path) in [("p50_ms", \Self.p50Ms), ("p95_ms", \Self.p95Ms), ("p99_ms", \Self.p99Ms)] {
            guard let member = value[name], !member.isNull else { continue }
            guard let number = member.doubleValue else { return nil }
            self[keyPath: path] = number
        }
    }
}
