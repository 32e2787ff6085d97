import Model
import ResourceKit

/// Texts that have broken something before, somewhere.
enum HostileValues {
    static let texts: [String] = [
        "", " ", "a\u{0}b", "a\nb", "a\r\nX-Injected: 1", "a\tb", "\u{1B}[31mred", "\u{9B}31m", "\u{7F}",
        "../../etc/passwd", "/etc/passwd", "a/../\u{301}b", "-oProxyCommand=x", "-\u{301}x", "$(id)",
        "`id`; rm -rf / #",
        "'; DROP TABLE resources; --", "<script>alert(1)</script>", "\"\u{301} onmouseover=\"alert(1)",
        "{{7*7}}{{{x}}}", "%00%0a%2e%2e", "a\u{202E}gpj.exe", "a\u{2028}b", "e\u{301}", "\u{FEFF}bom",
        "\u{FFFF}\u{10FFFF}", "💥👩‍👩‍👧‍👦", String(repeating: "\u{1F468}\u{200D}", count: 1000),
        String(repeating: "A", count: 40_000), String(repeating: "a", count: 64), String(repeating: "a.", count: 127),
        "xn--", "*.example.org", "a..b", ".", "@", "\u{212A}.example.org", "null", "[redacted]",
    ]

    /// One of each sort, where the same rules are reached by another way.
    static let few: [String] = texts.filter { $0.utf8.count < 256 }.enumerated().filter { $0.offset % 3 == 2 }.map(
        \.element)

    /// What is no text, where one belongs, and what no field takes.
    static let others: [JSONValue] = [
        nil, true, -1, 9_223_372_036_854_775_807, 1e308, [[]], ["a\u{0}": "b"], ["value": "x", "secret": "yes"],
    ]

    /// JSON as bytes that no parser should take for text.
    static let malformed: [[UInt8]] = [
        [0xFF, 0xFE], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], Array("\\ud800".utf8),
        Array("\\udc00\\ud800".utf8), Array("\\x00".utf8), Array("\\u12".utf8), [0x00], [0x0A],
    ]
}

/// A place in a body that takes a text.
struct TextPlace {
    /// Its path, as a refusal names it or what is above it: `health_check.path`, `hostnames[0]`.
    var path: String
    /// The value of the field with a text in this place.
    var value: (String) -> JSONValue
    /// What is in this place of a value, when a text is.
    var text: (JSONValue) -> String?
}

extension Field {
    /// Every place of this field that takes a text.
    var textPlaces: [TextPlace] { kind.textPlaces(example: example ?? defaultValue) }
}

extension Field.Kind {
    fileprivate func textPlaces(example: JSONValue?) -> [TextPlace] {
        let own = TextPlace(path: "", value: { .string($0) }, text: { $0.stringValue })
        switch self {
        case .string, .text, .choice, .duration, .size, .reference: return [own]
        case .integer, .number, .boolean: return []
        case .list(let element, _):
            return element.textPlaces(example: example?.arrayValue?.first).map { place in
                TextPlace(
                    path: "[0]" + place.path, value: { [place.value($0)] },
                    text: { $0.arrayValue?.first.flatMap(place.text) })
            }
        case .map(_, let element, _):
            let (name, sample) = example?.objectValue?.first ?? ("A", "x")
            let key = TextPlace(
                path: "", value: { .object([$0: sample]) }, text: { $0.objectValue?.keys.first })
            return [key]
                + element.textPlaces(example: sample).map { place in
                    TextPlace(
                        path: ".\(name)" + place.path, value: { .object([name: place.value($0)]) },
                        text: { $0[name].flatMap(place.text) })
                }
        case .object(let fields):
            guard !fields.isEmpty else { return Self.json.textPlaces(example: nil) }
            return fields.flatMap { field in
                field.textPlaces.map { place in
                    TextPlace(
                        path: ".\(field.name)" + place.path, value: { .object([field.name: place.value($0)]) },
                        text: { $0[field.name].flatMap(place.text) })
                }
            }
        case .environmentValue:
            return [own]
                + [
                    TextPlace(
                        path: "", value: { ["value": .string($0), "secret": false] }, text: { $0["value"]?.stringValue }
                    )
                ]
        case .json:
            return [
                TextPlace(path: "", value: { ["a": .string($0)] }, text: { $0["a"]?.stringValue }),
                TextPlace(path: "", value: { .object([$0: 1]) }, text: { $0.objectValue?.keys.first }),
            ]
        }
    }
}
