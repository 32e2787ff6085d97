public import Model

/// Why one field of a record is refused.
public struct RecordFlaw: Error, Sendable, Equatable {
    public var field: String
    public var why: String

    public init(_ field: String, _ why: String) {
        self.field = field
        self.why = why
    }

    static func content(_ why: String) -> RecordFlaw { RecordFlaw("content", why) }

    /// As the API says it.
    public var problem: Problem { .invalid(field, why) }
}

/// The name of a record, relative to its zone.
public enum RecordName {
    /// Why a text can be no record's name in any zone; nil when it can.
    public static func flaw(_ text: String) -> String? {
        if text == "@" { return nil }
        var labels = text.split(separator: ".", omittingEmptySubsequences: false)
        if labels.count > 1, labels.last == "" { labels.removeLast() }
        // A wildcard is a whole first label (RFC 4592 section 2.1.1).
        if labels.first == "*" { labels.removeFirst() }
        return DomainName.labelsFlaw(labels, underscores: true) ?? DomainName.lengthFlaw(text)
    }

    /// The name in one spelling, relative to the zone: `@`, or labels in lower case without the zone.
    ///
    /// - Parameters:
    ///   - text: as given; with the dot at its end and the zone's name in it, it is absolute.
    ///   - zone: canonical name of the zone.
    /// - Throws: ``RecordFlaw`` for a name outside of the zone, one that repeats the zone's, or one that is too long.
    public static func relative(_ text: String, in zone: String) throws(RecordFlaw) -> String {
        if text == "@" { return text }
        let name = DomainName.canonical(text)
        if DomainName.isWithin(name, zone) {
            guard text.hasSuffix(".") else {
                let rest = name == zone ? "@" : String(name.dropLast(zone.utf8.count + 1))
                throw RecordFlaw("name", "is relative to the zone \(zone); write \(rest)")
            }
            return name == zone ? "@" : String(name.dropLast(zone.utf8.count + 1))
        }
        if let flaw = DomainName.lengthFlaw("\(name).\(zone)") { throw RecordFlaw("name", "\(flaw) with the zone") }
        return name
    }

    /// The whole name of a record, canonical.
    public static func absolute(_ relative: String, in zone: String) -> String {
        relative == "@" ? zone : "\(relative).\(zone)"
    }
}
