import Model
import Mustache

/// JSON as the template engine sees it: null and an empty text are both "nothing", so that a section over them is
/// left out.
struct TemplateObject: MustacheParent {
    let members: [String: JSONValue]

    func child(named name: String) -> Any? {
        guard let value = members[name] else { return nil }
        // The engine takes the name of a part only as a plain string.
        if name == "glyph", case .string(let part) = value { return part }
        return templateValue(value, in: self)
    }
}

/// A text. A section over it sees the object that the text belongs to, so that `{{#.hint}}{{.hint}}{{/.hint}}` works.
struct TemplateText: MustacheParent, MustacheCustomRenderable {
    let text: String
    let owner: TemplateObject?

    var renderText: String { text }
    var isNull: Bool { false }
    func child(named name: String) -> Any? { owner?.child(named: name) }
}

/// Nothing to show; unlike a missing member it keeps the engine from looking in the objects around.
struct TemplateNothing: MustacheCustomRenderable {
    var renderText: String { "" }
    var isNull: Bool { true }
}

func templateValue(_ value: JSONValue, in owner: TemplateObject? = nil) -> Any {
    switch value {
    case .null: TemplateNothing()
    case .bool(let flag): flag
    case .int(let number): TemplateText(text: String(number), owner: owner)
    case .double(let number): TemplateText(text: String(number), owner: owner)
    case .string(let text): text.isEmpty ? TemplateNothing() : TemplateText(text: escapable(text), owner: owner)
    case .array(let values): values.map { templateValue($0) }
    case .object(let members): TemplateObject(members: members)
    }
}

/// Text whose HTML characters the engine will find.
///
/// The engine escapes whole characters, and a quotation mark with a combining mark behind it (or a prepended one
/// before it) is another character to it: it would leave an attribute open. Such marks are parted from the HTML
/// character by a zero-width space.
func escapable(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 >= 0x80 }) else { return text }
    func isMarkup(_ scalar: Unicode.Scalar) -> Bool { "<>&\"'".unicodeScalars.contains(scalar) }
    var result = ""
    result.reserveCapacity(text.utf8.count)
    for character in text {
        let scalars = character.unicodeScalars
        guard scalars.count > 1, scalars.contains(where: isMarkup) else {
            result.append(character)
            continue
        }
        for scalar in scalars {
            if isMarkup(scalar) {
                result.unicodeScalars.append(contentsOf: ["\u{200B}", scalar, "\u{200B}"])
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
    return result
}
