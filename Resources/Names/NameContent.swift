import Model

/// Contents that are names of other hosts.
enum NameContent {
    /// A name in canonical spelling; `@` is the zone's.
    /// - Parameter isHost: whether it must be the name of a host, without underscores (RFC 1123 section 2.1).
    static func name(
        _ word: ZoneFileWords.Word, _ zone: String, isHost: Bool = false
    ) throws(RecordFlaw) -> String {
        guard !word.isQuoted, let text = word.text else { throw .content("must be a domain name") }
        if text == "@" { return zone }
        let isAbsolute = text.hasSuffix(".")
        let name = DomainName.canonical(text)
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        if let flaw = DomainName.labelsFlaw(labels, underscores: !isHost) ?? DomainName.lengthFlaw(name) {
            throw .content("has a name that is not valid: it \(flaw)")
        }
        guard isAbsolute || labels.count > 1 else {
            throw .content("must have full domain names such as host.example.org; @ is the zone itself")
        }
        return name
    }

    /// A content that is one name (RFC 1035 sections 3.3.1, 3.3.11 and 3.3.12).
    static func only(_ words: [ZoneFileWords.Word], _ zone: String) throws(RecordFlaw) -> String {
        guard words.count == 1 else { throw .content("must be one domain name") }
        return try name(words[0], zone)
    }

    /// RFC 1035 section 3.3.9; a single dot takes no mail (RFC 7505).
    static func mailExchange(
        _ priority: Int, _ words: [ZoneFileWords.Word], _ zone: String
    ) throws(RecordFlaw) -> RecordContent {
        guard words.count == 1 else { throw .content("must be the name of a mail server") }
        if words[0].text == "." { return RecordContent("0 .") }
        let name = try name(words[0], zone, isHost: true)
        return RecordContent("\(priority) \(name).", targets: [name])
    }

    /// RFC 2782: weight, port and target; a single dot means that there is no such service.
    static func service(
        _ priority: Int, _ words: [ZoneFileWords.Word], _ zone: String
    ) throws(RecordFlaw) -> RecordContent {
        guard words.count == 3 else { throw .content("must be a weight, a port and a target: 5 5060 sip.example.org") }
        let weight = try RecordContent.number(words[0], "a weight", 0...65535)
        let port = try RecordContent.number(words[1], "a port", 0...65535)
        if words[2].text == "." { return RecordContent("\(priority) \(weight) \(port) .") }
        let name = try name(words[2], zone)
        return RecordContent("\(priority) \(weight) \(port) \(name).", targets: [name])
    }
}
