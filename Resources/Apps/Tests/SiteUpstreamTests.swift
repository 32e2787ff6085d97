import AppsResources
import Testing

@Suite struct SiteUpstreamTests {
    @Test(
        arguments: [
            ("web", .service("web")),
            ("0c9d7a52-6d9f-4f3e-9a43-0b5f4f6f6a11", .service("0c9d7a52-6d9f-4f3e-9a43-0b5f4f6f6a11")),
            ("db:5432", .container("db", port: 5432)), ("My_App-1:80", .container("My_App-1", port: 80)),
            ("container:my.app:80", .container("my.app", port: 80)),
            ("container:80", .container("container", port: 80)),
            ("host:80", .container("host", port: 80)), ("localhost:3000", .host("localhost", port: 3000)),
            ("127.0.0.1:8080", .host("127.0.0.1", port: 8080)),
            ("Intra.example.org.:443", .host("intra.example.org", port: 443)),
            ("host:intranet:8080", .host("intranet", port: 8080)), ("[::1]:8080", .host("::1", port: 8080)),
            ("host:[2001:db8::1]:80", .host("2001:db8::1", port: 80)), ("a.b:65535", .host("a.b", port: 65535)),
        ] as [(String, SiteUpstream)])
    func `reads what people write, and writes it so that it reads alike`(text: String, upstream: SiteUpstream) {
        #expect(SiteUpstream(text) == upstream)
        #expect(SiteUpstream("\(upstream)") == upstream, "\(upstream)")
    }

    @Test(arguments: [
        "", " ", "a b", "Web", "web ", "-web", "web:", ":80", "web:0", "web:65536", "web:80x", "web:+80", "web: 80",
        "web:80:90", "a.example", "10.0.0.1", "::1", "::1:80", "[::1]", "[::1]:", "[1.2.3.4]:80", "[::g]:80",
        "http://a.example", "http://a.example:80", "1.2.3:80", "256.1.1.1:80", "a..b:80", "-a.b:80", "a.b:80/x",
        "host:a b:80", "container::80", "container:-a:80", "a\n.b:80", "user@a.b:80", "*.a.b:80",
    ])
    func `refuses what names nothing, and says why`(text: String) {
        #expect(SiteUpstream(text) == nil)
        #expect(SiteUpstream.flaw(text)?.isEmpty == false)
    }
}
