import Catalog
import Model
import ResourceKit
import Testing

@testable import CLI

@Suite("Sites on the command line")
struct SiteCommandTests {
    private func spec(_ words: [String]) throws -> [String: JSONValue] {
        let kind = try #require(Catalog.kind(named: "site"))
        let command = SiteCommands.command(for: kind, in: Catalog.kinds)
        let provision = try #require(command.subcommands.first { $0.name == "provision" })
        let path = ["site", "provision"]
        let arguments = try #require(try ArgumentReader.read(words, for: provision, path: path))
        return try SiteCommands.spec(
            kind,
            Invocation(
                path: path, arguments: arguments, terminal: .standard(environment: [:]), environment: [:],
                kinds: Catalog.kinds))
    }

    @Test("what was said implies the rest")
    func implied() throws {
        #expect(try spec(["a.example.org", "--upstream", "web"]) == ["domain": "a.example.org", "upstream": "web"])
        #expect(try spec(["a.example.org", "--upstream", "web", "--user", "ada"])["auth"] == "basic")
        let nested = try spec(["a.example.org", "--upstream", "web", "--rate-limit-concurrent", "5", "--tls", "acme"])
        #expect(nested["rate_limit"] == ["concurrent": 5] && nested["tls"] == "acme")
    }

    @Test(
        "what cannot be is refused before anything is sent",
        arguments: [
            ["a.example.org"], ["a.example.org", "--upstream", "10.0.0.1"], ["a b", "--upstream", "web"],
            ["localhost", "--upstream", "web", "--tls", "acme"],
            ["a.example.org", "--upstream", "web", "--user", "ada", "--auth", "token"],
            ["a.example.org", "--upstream", "web", "--tls", "upload"],
        ])
    func refused(words: [String]) {
        #expect(throws: (any Error).self) { try spec(words) }
    }

    @Test("what goes is said, and what stays because others use it")
    func words() {
        func site(_ id: String, _ more: JSONValue) -> Resource {
            var value = more
            value["id"] = .string(id)
            value["domain"] = .string("\(id).example.org")
            return Resource(kind: "site", value: value)
        }
        let shop = site("shop", ["upstream": "web", "service_id": "w", "tls": "acme"])
        let blog = site("blog", ["upstream": "w", "service_id": "w", "tls": "off"])
        let other = site("other", ["upstream": "10.0.0.1:80", "service_id": .null, "tls": "off"])
        #expect(SiteCommands.traces(shop, 2) == "its route, 2 users and its certificate and key")
        #expect(SiteCommands.traces(blog, 0) == "its route")
        #expect(SiteCommands.sharing(shop, [shop, blog, other]) == "web stays, as blog.example.org uses it too.")
        #expect(SiteCommands.sharing(other, [shop, blog, other]) == nil)
    }
}
