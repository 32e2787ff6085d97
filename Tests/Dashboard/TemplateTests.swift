import Model
import Testing

@testable import Dashboard

@Suite struct TemplateTests {
    let templates: PageTemplates

    init() throws { templates = try PageTemplates() }

    @Test func everyTemplateParsesAndRendersWithoutAModel() {
        // A part that includes itself would never end without a model that ends it.
        for name in PageTemplates.sources.keys where name != "field" {
            #expect(!templates.render(name, [:]).contains("{{"), "\(name)")
        }
    }

    @Test func documentsLinkOnlyToOwnFiles() {
        let page = templates.render("login", ["style_path": "/assets/a.css", "script_path": "/assets/a.js"])
        #expect(page.contains(#"href="/assets/a.css""#))
        #expect(!page.contains("style="))
        #expect(!page.contains("<script>"))
        #expect(!page.contains("http:"))
    }

    @Test func noTemplateCarriesInlineStyleOrScript() {
        for (name, source) in PageTemplates.sources {
            #expect(!source.contains(" style="), "\(name)")
            #expect(!source.contains(" onclick="), "\(name)")
            #expect(!source.contains("{{{"), "\(name) has an unescaped value")
            #expect(!source.contains("{{&"), "\(name) has an unescaped value")
        }
    }

    @Test(arguments: [
        "<script>alert(1)</script>", "\" onfocus=\"alert(1)", "'", "&amp;", "\"\u{301} onfocus=x", "<\u{338}b>",
        "\u{600}\"x", "\"\u{FE0F}\u{200D}", "a\r\n\"b",
    ])
    func hostileTextIsEscaped(_ text: String) {
        let page = templates.render("problem", ["heading": .string(text), "message": .string(text)])
        let shown =
            page.unicodeScalars.split(separator: "\n").map { String($0) }.first { $0.hasPrefix("<header") }
            ?? ""
        #expect(!shown.isEmpty)
        let heading = shown.dropFirst("<header class=\"head\"><h1>".count)
        let inside = heading.unicodeScalars.prefix { $0 != "/" }.dropLast()
        #expect(!inside.contains("\""))
        #expect(!inside.contains("'"))
        #expect(!inside.contains("<"))
    }

    @Test func aTextSectionSeesItsObject() {
        let state = PageParts.state("crash_loop")
        let html = templates.render("state", state.objectValue ?? [:])
        #expect(html.contains("tone-bad"))
        #expect(html.contains("crash loop"))
        #expect(html.contains("<svg"))
    }

    @Test func assetsAreNamedByTheirContent() {
        let assets = DashboardAssets()
        let other = Asset("roost", "css", "text/css", "a{}")
        #expect(other.path != assets.style.path)
        #expect(assets.asset(at: assets.style.path)?.bytes == assets.style.bytes)
        #expect(assets.asset(at: "/assets/roost.css") == nil)
        #expect(assets.asset(at: "/assets/../etc/passwd") == nil)
    }
}
