import Edge
import Model
import Testing

/// What RFC 9110 and 9112 ask of a gateway beyond passing on what it gets.
@Suite(.serialized, .exclusive)
struct GatewayTests {
    @Test func theWayOfARequestIsTold() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let answer = try await edge.get("/", fields: "Via: 1.0 before, 1.1 next (it)\r\nvia: 2 last\r\n")
            #expect(answer.field("via") == nil)
            _ = try await edge.ask("GET / HTTP/1.0\r\n\r\n")
            _ = try await edge.curl("localhost", trusting: edge.folder + "/fallback.crt", "--http2")
            #expect(
                upstream.requests.map { $0.fields("via") } == [
                    ["1.0 before, 1.1 next (it)", "2 last", "1.1 roost"], ["1.0 roost"], ["2 roost"],
                ])
        }
    }

    @Test(arguments: [
        ("http://p.test", "OPTIONS * HTTP/1.1"), ("http://p.test/", "OPTIONS / HTTP/1.1"),
        ("http://p.test?a", "OPTIONS /?a HTTP/1.1"), ("*", "OPTIONS * HTTP/1.1"), ("/a", "OPTIONS /a HTTP/1.1"),
    ])
    func optionsOfTheWholeServer(target: String, line: String) async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            _ = try await edge.ask("OPTIONS \(target) HTTP/1.1\r\nHost: p.test\r\n\r\n")
            #expect(upstream.requests.map(\.line) == [line])
        }
    }

    @Test func hopsAreCounted() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                try client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
                let own = try client.response()
                #expect(own?.status == 200 && own?.field("allow")?.contains("OPTIONS") == true)
                #expect(own?.field("content-length") == "0" && own?.field("date") != nil)
                for (method, hops) in [("OPTIONS", "10"), ("OPTIONS", "many"), ("GET", "0")] {
                    try client.send("\(method) / HTTP/1.1\r\nHost: a\r\nMax-Forwards: \(hops)\r\n\r\n")
                    #expect(try client.response()?.status == 200)
                }
            }
            #expect(upstream.requests.map { $0.fields("max-forwards") } == [["9"], ["many"], ["0"]])
        }
    }

    @Test func everyAnswerHasADate() async throws {
        let folder = try EdgeFixture.temporaryFolder()
        try writeFile(folder + "/a.txt", "a")
        let dated = "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nok"
        let upstream = try RawUpstream { connection, upstream in
            while let request = try upstream.read(connection) {
                let hint = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                let plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                try connection.send(request.line.contains("dated") ? dated : hint + plain)
            }
        }
        var table = EdgeTable.single(upstream.port)
        table.upstreams.append(EdgeUpstream(id: "files", name: "files", staticFolder: folder))
        table.routes.append(EdgeRoute(hosts: ["files.test"], upstreamId: "files"))
        try await EdgeFixture.with(table) { edge in
            let port = edge.port
            let (hint, plain) = try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return (try client.response(), try client.response())
            }
            #expect(hint?.fields("date") == [])
            #expect(try await edge.get("/dated").fields("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"])
            let file = try await edge.get("/a.txt", host: "files.test")
            let missing = try await edge.get("/b.txt", host: "files.test")
            let broken = try await edge.ask("GET HTTP/1.1\r\n\r\n")
            let answers = [plain, file, missing, broken].map { $0?.fields("date") ?? [] }
            #expect(answers.map(\.count) == [1, 1, 1, 1])
            // `Sun, 06 Nov 1994 08:49:37 GMT`
            #expect(answers.allSatisfy { $0[0].utf8.count == 29 && $0[0].hasSuffix(" GMT") }, "\(answers)")
        }
    }

    @Test func whatMustBeUpgradedToIsTold() async throws {
        let answer = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.2\r\nConnection: Upgrade\r\n"
        let upstream = try RawUpstream(script: RawUpstream.answering(answer + "Content-Length: 0\r\n\r\n"))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let stays = try await edge.get("/")
            #expect(stays.status == 426 && stays.field("upgrade") == "TLS/1.2")
            #expect(stays.field("connection") == "Upgrade")
            let closes = try await edge.get("/", fields: "Connection: close\r\n")
            #expect(closes.field("upgrade") == "TLS/1.2" && closes.field("connection") == "close, Upgrade")
            let old = try await edge.ask("GET / HTTP/1.0\r\n\r\n")
            #expect(old.status == 426 && old.field("upgrade") == nil)
        }
    }

    @Test func oldClientsHearNothingOfChunks() async throws {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let upstream = try RawUpstream(script: RawUpstream.answering(chunked))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let old = try await edge.ask("HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", toHead: true)
            #expect(old.status == 200 && old.field("transfer-encoding") == nil && old.field("content-length") == nil)
            let new = try await edge.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", toHead: true)
            #expect(new.field("transfer-encoding") == "chunked")
        }
    }
}
