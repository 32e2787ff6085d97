import Edge
import Glibc
import Model
import Testing

/// Folders that ask for more than their files.
@Suite(.serialized, .exclusive)
struct StaticPlanTests {
    private func folder() throws -> String {
        let folder = try EdgeFixture.temporaryFolder()
        for (name, content) in [
            ("index.html", "<h1>home</h1>"), ("index.html.gz", "home zipped"), ("404.html", "<h1>lost</h1>"),
            ("app.js", "let a"), ("app.js.br", "brotli"), ("app.js.gz", "gzip"), ("plain.css", "a{}"),
            ("index-DiwrgTda.css", "b{}"), ("app.3f9a1c2b.js", "let b"), ("read-overview.html", "<p>o</p>"),
            (".secret", "no"), (".secret.gz", "no"),
        ] {
            try writeFile("\(folder)/\(name)", content)
        }
        mkdir("\(folder)/docs", 0o755)
        try writeFile("\(folder)/docs/index.html", "<h1>docs</h1>")
        return folder
    }

    private func makeTable(_ folder: String, _ options: EdgeStaticOptions) -> EdgeTable {
        var table = EdgeTable.single(staticFolder: folder)
        table.upstreams[0].staticOptions = options
        return table
    }

    @Test(arguments: [
        ("/app.js", "gzip, br", "brotli", "br"), ("/app.js", "gzip", "gzip", "gzip"),
        ("/app.js", "br;q=0, gzip;q=0.5", "gzip", "gzip"), ("/app.js", "", "let a", nil),
        ("/app.js", "zstd", "let a", nil), ("/app.js", "*", "brotli", "br"), ("/plain.css", "gzip, br", "a{}", nil),
        ("/", "gzip", "home zipped", "gzip"),
    ])
    func compressedSiblings(path: String, accepts: String, body: String, encoding: String?) async throws {
        try await EdgeFixture.with(makeTable(try folder(), EdgeStaticOptions())) { (edge: EdgeFixture) async throws in
            // Twice: from the disk, and from memory.
            for _ in 0..<2 {
                let answer = try await edge.get(path, fields: accepts.isEmpty ? "" : "Accept-Encoding: \(accepts)\r\n")
                #expect(answer.status == 200)
                #expect(answer.text == body)
                #expect(answer.field("content-encoding") == encoding)
                #expect(answer.field("vary") == "Accept-Encoding")
                let type = answer.field("content-type") ?? ""
                #expect(type.hasPrefix("text/"), "\(type)")
            }
        }
    }

    @Test func eachEncodingHasItsOwnTag() async throws {
        try await EdgeFixture.with(makeTable(try folder(), EdgeStaticOptions())) { (edge: EdgeFixture) async throws in
            let plain = try await edge.get("/app.js")
            let zipped = try await edge.get("/app.js", fields: "Accept-Encoding: gzip\r\n")
            let tag = try #require(zipped.field("etag"))
            #expect(plain.field("etag") != tag)
            let same = try await edge.get("/app.js", fields: "Accept-Encoding: gzip\r\nIf-None-Match: \(tag)\r\n")
            #expect(same.status == 304)
            #expect(same.field("vary") == "Accept-Encoding")
            #expect(try await edge.get("/app.js", fields: "If-None-Match: \(tag)\r\n").status == 200)
            let part = try await edge.get("/app.js", fields: "Range: bytes=0-1\r\n")
            #expect(part.status == 206 && part.text == "le")
        }
    }

    @Test func navigationsFallBack() async throws {
        let options = EdgeStaticOptions(fallback: "index.html", notFoundPage: "404.html")
        try await EdgeFixture.with(makeTable(try folder(), options)) { (edge: EdgeFixture) async throws in
            let page = try await edge.get("/users/7", fields: "Accept: text/html,*/*\r\n")
            #expect(page.status == 200 && page.text == "<h1>home</h1>")
            let script = try await edge.get("/missing.js", fields: "Accept: */*\r\n")
            #expect(script.status == 404 && script.text == "<h1>lost</h1>")
            #expect(script.field("content-type") == "text/html; charset=utf-8")
            let data = try await edge.get("/missing.json", fields: "Accept: application/json\r\n")
            #expect(data.status == 404)
            #expect(try JSONParser.parse(data.body)["code"]?.stringValue == "not_found")
            #expect(try await edge.get("/docs").status == 301)
            #expect(try await edge.get("/docs/").text == "<h1>docs</h1>")
            #expect(try await edge.get("/.secret", fields: "Accept-Encoding: gzip\r\n").status == 404)
            #expect(try await edge.get("/%2e%2e/%2e%2e/etc/passwd").status == 400)
            let post = try await edge.ask("POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            #expect(post.status == 405)
        }
    }

    @Test func namesWithAHashAreKeptForEver() async throws {
        let options = EdgeStaticOptions(cacheControl: "no-cache", cachesHashedNames: true)
        try await EdgeFixture.with(makeTable(try folder(), options)) { (edge: EdgeFixture) async throws in
            for (path, isHashed) in [
                ("/app.3f9a1c2b.js", true), ("/index-DiwrgTda.css", true), ("/app.js", false), ("/", false),
                ("/read-overview.html", false),
            ] {
                let value = try await edge.get(path).field("cache-control")
                #expect(value == (isHashed ? "public, max-age=31536000, immutable" : "no-cache"), "\(path)")
            }
        }
    }
}
