import Model

/// SVCB and HTTPS (RFC 9460 section 2.1): priority, target, parameters.
enum ServiceBinding {
    private static let keysMax = 32

    static func read(
        _ priority: Int, _ words: [ZoneFileWords.Word], _ zone: String
    ) throws(RecordFlaw) -> RecordContent {
        guard let first = words.first else { throw .content("must be a target and parameters: . alpn=h2") }
        let target = first.text == "." ? "." : try NameContent.name(first, zone) + "."
        var parameters: [(number: Int, text: String)] = []
        guard words.count - 1 <= keysMax else { throw .content("must have at most \(keysMax) parameters") }
        for word in words.dropFirst() { parameters.append(try parameter(word)) }
        guard Set(parameters.map(\.number)).count == parameters.count else {
            throw .content("has a parameter twice")
        }
        // AliasMode has none (section 2.4.2).
        guard priority > 0 || parameters.isEmpty else { throw .content("must have no parameters with priority 0") }
        let texts = parameters.sorted { $0.number < $1.number }.map(\.text)
        return RecordContent((["\(priority)", target] + texts).joined(separator: " "))
    }

    /// Section 7 and 14.3.2.
    private static func parameter(_ word: ZoneFileWords.Word) throws(RecordFlaw) -> (Int, String) {
        guard !word.isQuoted, let text = word.text else { throw .content("must have parameters such as port=8443") }
        let key = String(text.prefix { $0 != "=" }).lowercased()
        let value = text.utf8.count > key.utf8.count ? String(text.dropFirst(key.count + 1)) : nil
        let bytes = value.map { Array($0.utf8) } ?? []
        let isPlain = bytes.allSatisfy { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        guard isPlain else { throw .content("must have parameters without quotes and backslashes") }
        let parts = value.map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) } ?? []
        switch key {
        case "no-default-alpn":
            guard value == nil else { throw .content("must have no-default-alpn without a value") }
            return (2, key)
        case "mandatory", "alpn":
            guard !parts.isEmpty, parts.allSatisfy({ (1...255).contains($0.utf8.count) }) else { break }
            return (key == "alpn" ? 1 : 0, "\(key)=\(parts.joined(separator: ","))")
        case "port":
            guard let port = value.flatMap({ RecordContent.number($0, 0...65535) }) else { break }
            return (3, "port=\(port)")
        case "ipv4hint", "ipv6hint":
            let type: RecordType = key == "ipv4hint" ? .a : .aaaa
            guard !parts.isEmpty else { break }
            var addresses: [String] = []
            for part in parts {
                addresses.append(try RecordContent.read(type, part, priority: nil, zone: "").text)
            }
            return (key == "ipv4hint" ? 4 : 6, "\(key)=\(addresses.joined(separator: ","))")
        case "ech":
            guard let value, !value.isEmpty else { break }
            return (5, "ech=\(value)")
        default:
            guard key.hasPrefix("key"), let number = RecordContent.number(String(key.dropFirst(3)), 7...65534) else {
                throw .content("has the unknown parameter \(key.prefix(40))")
            }
            return (number, value.map { "\(key)=\($0)" } ?? key)
        }
        throw .content("has a value of \(key) that is not valid")
    }
}
