import Model
import Mustache

/// All templates, compiled once.
struct PageTemplates: Sendable {
    private let library: MustacheLibrary

    /// - Throws: `internal_error` when a template does not parse, which a test would have shown.
    init() throws {
        var library = MustacheLibrary()
        for (name, text) in Self.sources {
            do {
                try library.register(text, named: name)
            } catch {
                throw Problem(.internalError, "The page template \(name) cannot be read.", context: "\(error)")
            }
        }
        self.library = library
    }

    static let sources: [String: String] =
        frameTemplates.merging(partTemplates) { $1 }.merging(formTemplates) { $1 }.merging(stackTemplates) { $1 }
        .merging(serverTemplates) { $1 }.merging(genericTemplates) { $1 }.merging(siteTemplates) { $1 }
        .merging(timelineTemplates) { $1 }.merging(runTemplates) { $1 }.merging(accountTemplates) { $1 }

    /// HTML of a page; everything in the model is escaped.
    func render(_ name: String, _ model: [String: JSONValue]) -> String {
        // Every name comes from this module; a test renders each of them.
        library.render(TemplateObject(members: model), withTemplate: name) ?? ""
    }
}
