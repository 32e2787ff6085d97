import AgentProtocol
import Model

/// Where a page ended: the sorted value and number of its last record. Opaque to clients, so that it may change.
struct PageCursor: Equatable {
    var kind: String
    var sort: String
    var descending: Bool
    var value: JSONValue
    var seq: Int64

    init(kind: String, sort: String, descending: Bool, value: JSONValue, seq: Int64) {
        self.kind = kind
        self.sort = sort
        self.descending = descending
        self.value = value
        self.seq = seq
    }

    /// Base64 with the alphabet for URLs and no padding (RFC 4648 section 5).
    var text: String {
        let json: JSONValue = [
            "k": .string(kind), "s": .string(sort), "d": .bool(descending), "v": value, "n": .int(seq),
        ]
        return String(
            String.UnicodeScalarView(
                Base64.encode(json.canonicalBytes).unicodeScalars.compactMap {
                    switch $0 {
                    case "+": "-"
                    case "/": "_"
                    case "=": nil
                    default: $0
                    }
                }))
    }

    init?(_ text: String) {
        guard text.utf8.count <= 4096 else { return nil }
        var plain = String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }))
        plain += String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4)
        // Any text that is not one of our cursors is answered alike, so why it cannot be read does not matter.
        guard let bytes = Base64.decode(plain), let json = try? JSONParser.parse(bytes),
            let kind = json["k"]?.stringValue, let sort = json["s"]?.stringValue,
            let descending = json["d"]?.boolValue, let value = json["v"], let seq = json["n"]?.intValue
        else { return nil }
        self.init(kind: kind, sort: sort, descending: descending, value: value, seq: seq)
    }
}
