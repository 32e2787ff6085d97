/// All records of one name and type, which name servers take and give together (RFC 2181 section 5).
public struct RecordSet: Sendable, Hashable {
    /// What tells one from another in a zone.
    public struct Key: Sendable, Hashable, Comparable {
        /// Absolute and canonical.
        public var name: String
        public var type: String

        public init(name: String, type: String) {
            self.name = name
            self.type = type
        }

        public static func < (left: Key, right: Key) -> Bool {
            (left.name, left.type) < (right.name, right.type)
        }
    }

    public var key: Key
    public var ttlSeconds: Int64
    /// In the form that PowerDNS takes, sorted.
    public var contents: [String]

    public init(_ key: Key, ttlSeconds: Int64, contents: [String]) {
        self.key = key
        self.ttlSeconds = ttlSeconds
        self.contents = contents.sorted()
    }

    /// Types whose contents are the same in any case.
    private static let caseless: Set<String> = [
        "A", "AAAA", "ALIAS", "CNAME", "DS", "MX", "NS", "PTR", "SMIMEA", "SRV", "SSHFP", "TLSA",
    ]

    /// Whether both say the same. An SOA's serial is the server's own business.
    public func saysSame(as other: RecordSet) -> Bool {
        key == other.key && ttlSeconds == other.ttlSeconds && comparable == other.comparable
    }

    private var comparable: [String] {
        contents.map { content in
            if key.type == "SOA" {
                var words = content.lowercased().split(separator: " ")
                if words.count == 7 { words[2] = "" }
                return words.joined(separator: " ")
            }
            return Self.caseless.contains(key.type) ? content.lowercased() : content
        }.sorted()
    }
}

/// A zone as a name server has it.
public struct ServedZone: Sendable, Equatable {
    public var sets: [RecordSet.Key: RecordSet]

    public init(_ sets: [RecordSet]) {
        self.sets = Dictionary(sets.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The serial in the SOA record (RFC 1035 section 3.3.13).
    public func serial(of name: String) -> Int64? {
        let words = sets[.init(name: name, type: "SOA")]?.contents.first?.split(separator: " ")
        return words.flatMap { $0.count == 7 ? Int64($0[2]) : nil }
    }
}

/// A change of one record set.
public enum RecordSetChange: Sendable, Hashable {
    case replace(RecordSet)
    case delete(RecordSet.Key)

    public var key: RecordSet.Key {
        switch self {
        case .replace(let set): set.key
        case .delete(let key): key
        }
    }
}
