import HTTPTypes
import HubCore
import Hummingbird
import Model
import ResourceKit

extension HubAPI {
    func documentationEndpoints(describing endpoints: [Endpoint]) -> [Endpoint] {
        let document = OpenAPIDocument.json(endpoints, kinds: hub.kinds, nestable: hub.nestable)
        let page = DocumentationPage.html(endpoints, kinds: hub.kinds)
        var operation = Operation(id: "openapi", tag: "docs", summary: "This API as an OpenAPI 3.1 document.")
        operation.isHidden = true
        return [
            Endpoint(method: .get, path: "/docs/openapi.json", access: .anyone, operation: operation) { _ in
                Answers.json(document)
            },
            Endpoint(method: .get, path: "/docs", access: .anyone, operation: operation) { _ in
                Answers.text(
                    page, type: "text/html; charset=utf-8",
                    headers: [.contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'"])
            },
        ]
    }
}

/// The API as a page for people: no script, one style.
enum DocumentationPage {
    static func html(_ endpoints: [Endpoint], kinds: [ResourceKind]) -> String {
        var text = head
        let shown = endpoints.filter { !$0.operation.isHidden }
        var tags: [String] = []
        for endpoint in shown where !tags.contains(endpoint.operation.tag) { tags.append(endpoint.operation.tag) }
        text += "<nav>" + tags.map { "<a href=\"#\($0)\">\($0.escapedForHTML)</a>" }.joined(separator: " ") + "</nav>\n"
        for tag in tags {
            text += "<section id=\"\(tag)\"><h2>\(tag.escapedForHTML)</h2>\n"
            if let kind = kinds.first(where: { $0.plural == tag }) {
                text += "<p>\(kind.summary.escapedForHTML)</p>\n" + fields(kind)
            }
            text += "<table><tbody>\n"
            for endpoint in shown where endpoint.operation.tag == tag {
                text += "<tr><td><code>\(endpoint.method.rawValue)</code></td>"
                text += "<td><code>\(endpoint.path.escapedForHTML)</code></td>"
                text += "<td>\(endpoint.operation.summary.escapedForHTML)</td></tr>\n"
            }
            text += "</tbody></table></section>\n"
        }
        return text + "</main></body></html>\n"
    }

    private static func fields(_ kind: ResourceKind) -> String {
        guard !kind.fields.isEmpty else { return "" }
        var text = "<table><thead><tr><th>field</th><th>takes</th><th>meaning</th></tr></thead><tbody>\n"
        for field in kind.fields {
            let marks = [
                field.isRequired ? "required" : nil, field.isImmutable ? "fixed" : nil, field.isSecret ? "secret" : nil,
                field.defaultValue.map { "default \($0.canonicalText)" },
            ].compactMap { $0 }
            let note = marks.isEmpty ? "" : " <small>(\(marks.joined(separator: ", ").escapedForHTML))</small>"
            text += "<tr><td><code>\(field.name.escapedForHTML)</code></td><td>\(words(field.kind).escapedForHTML)</td>"
            text += "<td>\(field.summary.escapedForHTML)\(note)</td></tr>\n"
        }
        return text + "</tbody></table>\n"
    }

    private static func words(_ kind: Field.Kind) -> String {
        switch kind {
        case .string: "line of text"
        case .text: "text"
        case .integer(let range): "whole number \(range.lowerBound)–\(range.upperBound)"
        case .number(let range): "number \(range.lowerBound)–\(range.upperBound)"
        case .boolean: "true or false"
        case .duration(let range): "time span \(range.lowerBound.shortText)–\(range.upperBound.shortText)"
        case .size: "size in bytes, or such as 256M"
        case .choice(let choices): choices.joined(separator: " | ")
        case .list(let element, _): "list of: \(words(element))"
        case .map(_, let element, _): "object of: \(words(element))"
        case .object(let fields): "object: \(fields.map(\.name).joined(separator: ", "))"
        case .environmentValue: "text, or {\"value\", \"secret\"}"
        case .json: "any JSON"
        case .reference(let kind): "id of a \(kind)"
        }
    }

    private static let head = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <title>Roost API</title>
        <style>
        :root { color-scheme: light dark }
        body { font: 16px/1.5 system-ui, sans-serif; margin: 0 }
        main { max-width: 70rem; margin: 0 auto; padding: 1rem }
        nav { display: flex; flex-wrap: wrap; gap: .5rem 1rem }
        table { border-collapse: collapse; width: 100%; margin: 1rem 0; display: block; overflow-x: auto }
        td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0 }
        code { font-family: ui-monospace, monospace; font-size: .9em }
        </style></head><body><main>
        <h1>Roost API</h1>
        <p>Send an API key as <code>Authorization: Bearer KEY</code> or <code>X-API-Key: KEY</code>. Bodies are JSON.
        Every mutation but logins and changes of your own account takes <code>?plan=true</code>: it answers what would
        change, and changes nothing. The whole API as a document for programs:
        <a href="/docs/openapi.json">openapi.json</a>.</p>

        """
}
