import Model
import NamesResources
import ResourceKit

/// Who answers for a zone.
struct ZoneAuthority: Sendable, Equatable {
    /// Canonical names of the name servers, the first one first.
    var nameServers: [String]
    var hostmaster: String

    /// The brand's, else the platform's; nil when neither names a name server.
    init?(zone: String, brand: [String: JSONValue]?, platform: [String: JSONValue]) {
        let source = brand ?? platform
        let names = ["primary_ns", "secondary_ns"].compactMap { source[$0]?.stringValue.map(DomainName.canonical) }
        guard !names.isEmpty else { return nil }
        nameServers = names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        let domain = platform["base_domain"]?.stringValue.map(DomainName.canonical) ?? zone
        hostmaster = brand?["hostmaster_email"]?.stringValue ?? "hostmaster@\(domain)"
    }

    /// The mailbox as a domain name: dots before the @ are written with a backslash (RFC 1035 section 8).
    var mailboxName: String {
        let parts = hostmaster.split(separator: "@", maxSplits: 1)
        guard parts.count == 2 else { return "hostmaster.\(nameServers[0])." }
        let local = parts[0].flatMap { $0 == "." ? "\\." : String($0) }
        return "\(String(local)).\(DomainName.canonical(String(parts[1])))."
    }
}

/// What a zone should be on its name server, and what is left to do for that. Pure.
struct ZonePlan {
    private static let ownTTLSeconds: Int64 = 3600
    /// Refresh, retry, expire, and how long a missing name may be remembered (RFC 1912 section 2.2, RFC 2308).
    private static let timersSeconds = "10800 3600 1209600 3600"

    let name: String
    /// Record sets that should be there.
    private(set) var wanted: [RecordSet.Key: RecordSet] = [:]
    /// Those and the ones that should not be there any more. Others are none of ours.
    private(set) var managed: Set<RecordSet.Key> = []
    /// Ids of the records of each set.
    private(set) var members: [RecordSet.Key: [String]] = [:]

    /// - Parameters:
    ///   - records: of the zone; those that failed are left out, those that are being deleted go.
    ///   - departed: records of zones of this name that are being deleted.
    init(
        name: String, authority: ZoneAuthority, records: [ResourceRecord], departed: [ResourceRecord]
    ) throws(RecordFlaw) {
        self.name = name
        let apex = RecordSet.Key(name: name, type: "NS")
        let soa = RecordSet.Key(name: name, type: "SOA")
        wanted[apex] = RecordSet(
            apex, ttlSeconds: Self.ownTTLSeconds, contents: authority.nameServers.map { "\($0)." })
        let source = "\(authority.nameServers[0]). \(authority.mailboxName)"
        wanted[soa] = RecordSet(
            soa, ttlSeconds: Self.ownTTLSeconds, contents: ["\(source) 1 \(Self.timersSeconds)"])
        managed = [apex, soa]
        var own: [RecordSet.Key: RecordSet] = [:]
        for record in records {
            for former in record.state["former"]?.arrayValue ?? [] {
                let relative = former["name"]?.stringValue ?? "@"
                managed.insert(
                    .init(
                        name: RecordName.absolute(relative, in: name), type: former["type"]?.stringValue ?? ""))
            }
            let key = key(record)
            managed.insert(key)
            guard record.status != .deleting, record.status != .failed else { continue }
            let content = try ZoneRecords.content(record, zone: name).text
            let ttl = record.spec["ttl"]?.intValue ?? Self.ownTTLSeconds
            var set = own[key] ?? RecordSet(key, ttlSeconds: ttl, contents: [])
            set.ttlSeconds = min(set.ttlSeconds, ttl)
            if !set.contents.contains(content) { set.contents = (set.contents + [content]).sorted() }
            own[key] = set
            members[key, default: []].append(record.id)
        }
        for record in departed { managed.insert(key(record)) }
        // Name servers that a person gives the zone take the place of the brand's.
        wanted.merge(own) { $1 }
    }

    private func key(_ record: ResourceRecord) -> RecordSet.Key {
        .init(
            name: RecordName.absolute(ZoneRecords.name(record), in: name),
            type: record.spec["type"]?.stringValue ?? "")
    }

    /// What is left to do, deletions first: an alias may take the place of what goes.
    func changes(from served: ServedZone, known: ZoneSpellings) -> [RecordSetChange] {
        var deletions: [RecordSetChange] = []
        var replacements: [RecordSetChange] = []
        for key in managed.sorted() {
            let there = served.sets[key]
            guard var set = wanted[key] else {
                if there != nil { deletions.append(.delete(key)) }
                continue
            }
            if let there, set.saysSame(as: there) || known.isSpelling(there, of: set) { continue }
            if key.type == "SOA", let serial = served.serial(of: name) {
                // The server counts on from what it has.
                set.contents = set.contents.map { $0.replacingSerial(with: serial) }
            }
            replacements.append(.replace(set))
        }
        return deletions + replacements
    }
}

extension String {
    /// The content of an SOA record with another serial.
    fileprivate func replacingSerial(with serial: Int64) -> String {
        var words = split(separator: " ").map(String.init)
        if words.count == 7 { words[2] = String(serial) }
        return words.joined(separator: " ")
    }
}

/// How a server writes what it was given, where it writes it otherwise: so that nothing is given to it again for that.
struct ZoneSpellings: Sendable {
    private var spellings: [RecordSet.Key: (given: RecordSet, written: RecordSet)] = [:]

    init() {}

    func isSpelling(_ written: RecordSet, of given: RecordSet) -> Bool {
        spellings[given.key].map { $0.given == given && $0.written == written } ?? false
    }

    mutating func note(_ given: RecordSet, _ written: RecordSet) {
        spellings[given.key] = given.saysSame(as: written) ? nil : (given, written)
    }
}
