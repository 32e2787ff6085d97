import Model

/// What a record says, checked for its type.
public struct RecordContent: Sendable, Hashable {
    /// As a name server takes it: names absolute with a dot at the end, the priority in front, text in quotes.
    public var text: String
    /// Names that it points to and that must not be aliases (RFC 2181 section 10.3), canonical.
    public var targets: [String] = []

    init(_ text: String, targets: [String] = []) {
        self.text = text
        self.targets = targets
    }

    /// Longest content that is taken; a name server sends 65,535 bytes at most (RFC 1035 section 4.2.2).
    public static let bytesMax = 16_384

    /// Reads what the caller gave.
    ///
    /// - Parameters:
    ///   - priority: of types that have one; it may stand in front of the content instead.
    ///   - zone: canonical name that `@` stands for.
    /// - Throws: ``RecordFlaw`` that names the field.
    public static func read(
        _ type: RecordType, _ content: String, priority: Int64?, zone: String
    ) throws(RecordFlaw) -> RecordContent {
        guard content.utf8.count <= bytesMax else { throw .content("must have at most \(bytesMax) bytes") }
        guard !content.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            throw .content("must not contain control characters or line breaks")
        }
        if type.defaultPriority == nil, let priority, priority != 0 {
            throw RecordFlaw("priority", "is not for \(type.rawValue) records")
        }
        switch type {
        case .a: return RecordContent(try address(content, isIPv6: false))
        case .aaaa: return RecordContent(try address(content, isIPv6: true))
        case .txt: return RecordContent(try TextContent.strings(content))
        default: break
        }
        let words = try ZoneFileWords.split(content)
        switch type {
        case .cname, .alias, .ptr:
            return RecordContent(try NameContent.only(words, zone) + ".")
        case .ns:
            let name = try NameContent.only(words, zone)
            return RecordContent("\(name).", targets: [name])
        case .mx, .srv, .uri, .https, .svcb:
            let (order, rest) = try order(type, priority, words)
            switch type {
            case .mx: return try NameContent.mailExchange(order, rest, zone)
            case .srv: return try NameContent.service(order, rest, zone)
            case .uri: return try TextContent.uri(order, rest)
            default: return try ServiceBinding.read(order, rest, zone)
            }
        case .caa: return try TextContent.authorization(words)
        case .naptr: return try TextContent.namingAuthority(words, zone)
        default: return try KeyContent.read(type, words)
        }
    }

    /// RFC 1035 section 3.4.1 and RFC 3596 section 2.2, in the spelling of RFC 5952.
    private static func address(_ text: String, isIPv6: Bool) throws(RecordFlaw) -> String {
        guard let address = Names.canonicalAddress(text), address.contains(":") == isIPv6 else {
            throw .content("must be an IPv\(isIPv6 ? 6 : 4) address")
        }
        return address
    }

    private static func order(
        _ type: RecordType, _ given: Int64?, _ words: [ZoneFileWords.Word]
    ) throws(RecordFlaw) -> (Int, [ZoneFileWords.Word]) {
        let own = words.first.flatMap { $0.isQuoted ? nil : $0.text }.flatMap { number($0, 0...65535) }
        let isCounted = type != .https && type != .svcb
        let hasRoom =
            isCounted ? words.count == type.wordsAfterPriority.upperBound + 1 : words.count > 1
        guard let own, hasRoom else { return (Int(given ?? type.defaultPriority ?? 0), words) }
        if let given, given != Int64(own) {
            throw RecordFlaw("priority", "is \(given), and the content begins with \(own)")
        }
        return (own, Array(words.dropFirst()))
    }

    /// A whole number without sign and leading zeros.
    static func number(_ text: String, _ range: ClosedRange<Int>) -> Int? {
        guard let value = Int(text), String(value) == text, range.contains(value) else { return nil }
        return value
    }

    static func number(
        _ word: ZoneFileWords.Word, _ what: String, _ range: ClosedRange<Int>
    ) throws(RecordFlaw) -> Int {
        guard !word.isQuoted, let text = word.text, let value = number(text, range) else {
            throw .content("must have \(what) of \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}
