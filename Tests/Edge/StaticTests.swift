import Edge
import Glibc
import Model
import Testing

@Suite(.serialized, .exclusive)
struct StaticTests {
    /// Three megabytes in which every stretch of a few hundred bytes is like no other.
    private static let big: [UInt8] = (0..<10_000).flatMap { number in
        Array("\(number):".utf8) + [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 300)
    }

    private static func folder() throws -> String {
        let root = try EdgeFixture.temporaryFolder()
        try writeFile(root + "/secret.txt", "secret")
        let folder = root + "/www"
        for path in [folder, folder + "/sub", folder + "/.git", folder + "/.well-known", folder + "/a b"] {
            mkdir(path, 0o755)
        }
        try writeFile(folder + "/index.html", "<h1>hello</h1>")
        try writeFile(folder + "/sub/index.html", "sub")
        try writeFile(folder + "/app.js", "let a = 1")
        try writeFile(folder + "/app.css", "a{}")
        try writeFile(folder + "/no-type", "x")
        try writeFile(folder + "/.env", "KEY=1")
        try writeFile(folder + "/.git/config", "git")
        try writeFile(folder + "/.well-known/security.txt", "ok")
        try writeFile(folder + "/a b/ü.txt", "umlaut")
        try writeFile(folder + "/big.bin", Self.big)
        symlink("../secret.txt", folder + "/link.txt")
        symlink("..", folder + "/up")
        mkfifo(folder + "/fifo", 0o644)
        return folder
    }

    private func with(_ body: (EdgeFixture, String) async throws -> Void) async throws {
        let folder = try Self.folder()
        try await EdgeFixture.with(.single(staticFolder: folder)) { try await body($0, folder) }
    }

    @Test(arguments: [
        ("/", 200, "text/html; charset=utf-8"), ("/index.html", 200, "text/html; charset=utf-8"),
        ("/?a=b", 200, "text/html; charset=utf-8"), ("/app.js", 200, "text/javascript; charset=utf-8"),
        ("/app.css", 200, "text/css; charset=utf-8"), ("/no-type", 200, "application/octet-stream"),
        ("/sub/", 200, "text/html; charset=utf-8"), ("/.well-known/security.txt", 200, "text/plain; charset=utf-8"),
        ("/a%20b/%C3%BC.txt", 200, "text/plain; charset=utf-8"), ("/big.bin", 200, "application/octet-stream"),
        ("/missing", 404, nil), ("/.env", 404, nil), ("/.git/config", 404, nil), ("/%2Eenv", 404, nil),
        ("/sub/../.env", 404, nil), ("/../secret.txt", 400, nil), ("/%2e%2e/secret.txt", 400, nil),
        ("/..%2Fsecret.txt", 404, nil), ("/sub/..%2f..%2fsecret.txt", 404, nil), ("/%2Fetc/passwd", 404, nil),
        ("//etc/passwd", 404, nil), ("/..%5csecret.txt", 404, nil), ("/link.txt", 404, nil),
        ("/up/secret.txt", 404, nil),
        ("/up/", 404, nil), ("/fifo", 404, nil), ("/index.html%00.js", 404, nil), ("/index.html/", 404, nil),
        ("/index.html/x", 404, nil), ("/%ff", 404, nil), ("/a%", 400, nil), ("/.well-known/../.env", 404, nil),
        ("/...", 404, nil), ("/sub/.../", 404, nil),
    ])
    func paths(path: String, status: Int, type: String?) async throws {
        try await with { edge, _ in
            let response = try await edge.get(path)
            #expect(response.status == status)
            if let type { #expect(response.field("content-type") == type) }
            #expect(!response.text.contains("secret") && !response.text.contains("KEY"))
        }
    }

    @Test(arguments: ["/sub", "/sub?a=b", "//sub", "/x/../sub"])
    func aFolderGetsItsSlash(path: String) async throws {
        try await with { edge, _ in
            let response = try await edge.get(path)
            #expect(response.status == 301)
            #expect(response.field("location") == (path.contains("?") ? "/sub/?a=b" : "/sub/"))
        }
    }

    @Test func bodiesAreWhole() async throws {
        try await with { edge, folder in
            let big = try await edge.get("/big.bin")
            #expect(big.body == Self.big)
            let small = try await edge.get("/a%20b/%C3%BC.txt")
            #expect(small.text == "umlaut")
            #expect(folder.hasSuffix("/www"))
        }
    }

    @Test(arguments: ["/app.js", "/big.bin"])
    func validators(path: String) async throws {
        try await with { edge, _ in
            let first = try await edge.get(path)
            let etag = try #require(first.field("etag"))
            let modified = try #require(first.field("last-modified"))
            for (field, status) in [
                ("If-None-Match: \(etag)", 304), ("If-None-Match: W/\(etag)", 304), ("If-None-Match: *", 304),
                ("If-None-Match: \"a\", \(etag)", 304), ("If-None-Match: \"a\"", 200),
                ("If-Modified-Since: \(modified)", 304), ("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 200),
                ("If-None-Match: \"a\"\r\nIf-Modified-Since: \(modified)", 200),
            ] {
                let response = try await edge.get(path, fields: field + "\r\n")
                #expect(response.status == status, "\(field)")
                #expect(response.field("etag") == etag)
                if status == 304 { #expect(response.body.isEmpty) }
            }
        }
    }

    @Test(arguments: ["/app.js", "/big.bin"])
    func ranges(path: String) async throws {
        try await with { edge, _ in
            let whole = try await edge.get(path)
            let size = whole.body.count
            let etag = try #require(whole.field("etag"))
            for (range, expected) in [
                ("bytes=0-3", 0..<4), ("bytes=2-", 2..<size), ("bytes=-3", (size - 3)..<size),
                ("bytes=0-999999999", 0..<size), ("bytes=-999999999", 0..<size), ("Bytes= 1-1", 1..<2),
            ] {
                let response = try await edge.get(path, fields: "Range: \(range)\r\n")
                #expect(response.status == 206, "\(range)")
                #expect(response.body == Array(whole.body[expected]), "\(range)")
                #expect(
                    response.field("content-range")
                        == "bytes \(expected.lowerBound)-\(expected.upperBound - 1)/\(size)", "\(range)")
            }
            for range in ["bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=3-1", "items=0-1", "bytes=a-b", "bytes=0-1-2"] {
                let response = try await edge.get(path, fields: "Range: \(range)\r\n")
                #expect(response.status == 200, "\(range)")
                #expect(response.body.count == size)
            }
            for range in ["bytes=\(size)-", "bytes=-0"] {
                let response = try await edge.get(path, fields: "Range: \(range)\r\n")
                #expect(response.status == 416)
                #expect(response.field("content-range") == "bytes */\(size)")
            }
            let same = try await edge.get(path, fields: "Range: bytes=0-1\r\nIf-Range: \(etag)\r\n")
            #expect(same.status == 206)
            let other = try await edge.get(path, fields: "Range: bytes=0-1\r\nIf-Range: \"a\"\r\n")
            #expect(other.status == 200)
        }
    }

    /// RFC 9110 section 13.
    @Test func conditions() async throws {
        try await with { edge, _ in
            let file = try await edge.get("/app.js")
            let etag = try #require(file.field("etag"))
            let changed = try #require(file.field("last-modified"))
            let (before, after) = ("Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT")
            for (fields, status) in [
                ("If-Match: \(etag)", 200), ("If-Match: \"a\", \(etag)", 200), ("If-Match: *", 200),
                ("If-Match: \"a\"", 412), ("If-Match: W/\(etag)", 412), ("If-Unmodified-Since: \(changed)", 200),
                ("If-Unmodified-Since: \(after)", 200), ("If-Unmodified-Since: \(before)", 412),
                ("If-Unmodified-Since: never", 200), ("If-Match: *\r\nIf-Unmodified-Since: \(before)", 200),
                ("If-Modified-Since: \(changed)", 304), ("If-Modified-Since: \(after)", 304),
                ("If-Modified-Since: \(before)", 200), ("If-Modified-Since: never", 200),
                ("If-Match: \"a\"\r\nIf-None-Match: \(etag)", 412), ("If-None-Match: W/\(etag)", 304),
                ("If-None-Match: \"a\"\r\nIf-Modified-Since: \(after)", 200),
            ] {
                let response = try await edge.get("/app.js", fields: fields + "\r\n")
                #expect(response.status == status, "\(fields)")
                #expect(response.body.isEmpty == (status != 200), "\(fields)")
            }
        }
    }

    @Test func headAndOtherMethods() async throws {
        try await with { edge, _ in
            for path in ["/app.js", "/big.bin"] {
                let head = try await edge.ask("HEAD \(path) HTTP/1.1\r\nHost: a\r\n\r\n", toHead: true)
                let get = try await edge.get(path)
                #expect(head.status == 200)
                #expect(head.field("content-length") == get.field("content-length"))
            }
            let part = try await edge.ask("HEAD /big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n", toHead: true)
            #expect(part.status == 200 && part.field("content-range") == nil, "a range is of GET only")
            for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
                let response = try await edge.ask("\(method) /app.js HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(response.status == 405)
                #expect(response.field("allow") == "GET, HEAD")
            }
        }
    }

    @Test func filesAndRequestsFollowEachOther() async throws {
        try await with { edge, _ in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                let paths = ["/big.bin", "/app.js", "/missing", "/big.bin", "/"]
                try client.send(paths.map { "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
                for path in paths {
                    let response = try client.response()
                    #expect(response?.status == (path == "/missing" ? 404 : 200))
                }
            }
        }
    }

    @Test func aChangedFileIsServedSoon() async throws {
        try await with { edge, folder in
            _ = try await edge.get("/app.js")
            try writeFile(folder + "/app.js", "let changed = 2")
            #expect(try await eventually(.seconds(20)) { try await edge.get("/app.js").text == "let changed = 2" })
        }
    }

    @Test func aStrippedPrefixIsNotPartOfTheFile() async throws {
        var table = EdgeTable.single(staticFolder: try Self.folder())
        table.routes = [EdgeRoute(pathPrefix: "/docs", stripPrefix: true, upstreamId: "web")]
        try await EdgeFixture.with(table) { edge in
            let root = try await edge.get("/docs")
            #expect(root.text == "<h1>hello</h1>")
            let sub = try await edge.get("/docs/sub")
            #expect(sub.field("location") == "/docs/sub/")
        }
    }
}
