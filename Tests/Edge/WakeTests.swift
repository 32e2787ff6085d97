import Edge
import Model
import Testing

/// Services that are started by the request for them.
@Suite(.serialized, .exclusive)
struct WakeTests {
    private func asleep(_ wake: EdgeWake? = nil) -> EdgeTable {
        var table = EdgeTable.single(mode: .wake)
        table.upstreams[0].wake = wake
        return table
    }

    @Test func aRequestWaitsUntilTheServiceRuns() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(asleep()) { (edge: EdgeFixture) async throws in
            let before = try await edge.control.status()
            #expect(before.wakeRequested.isEmpty && before.wakeSerial == 0)
            async let told = edge.control.status(afterWake: 0, wait: .seconds(20))
            async let answer = edge.get("/x")
            let status = try await told
            #expect(status.wakeRequested == ["web"])
            #expect(status.wakeSerial == 1)
            #expect(status.requestsHeld == ["web": 1])
            try await edge.control.apply(.single(upstream.port))
            let text = try await answer.text
            #expect(text == "GET /x HTTP/1.1|0")
            let after = try await edge.control.status()
            #expect(after.wakeRequested.isEmpty)
            #expect(after.upstreams["web"]?.lastRequestAt != nil)
            // Put to sleep again, the next request asks again.
            try await edge.control.apply(asleep(EdgeWake(holdMs: 100)))
            #expect(try await edge.get("/").status == 503)
            #expect(try await edge.control.status(afterWake: 1, wait: .seconds(20)).wakeSerial == 2)
        }
    }

    @Test func waitingForNothingEnds() async throws {
        try await EdgeFixture.with(asleep()) { (edge: EdgeFixture) async throws in
            #expect(try await edge.control.status(afterWake: 0, wait: .milliseconds(200)).wakeSerial == 0)
        }
    }

    @Test func browsersGetAPageThatAsksAgain() async throws {
        try await EdgeFixture.with(asleep(EdgeWake(holdMs: 30_000, pageAfterMs: 300))) {
            (edge: EdgeFixture) async throws in
            let clock = ContinuousClock()
            var start = clock.now
            let page = try await edge.get("/", fields: "Accept: text/html\r\n")
            #expect(page.status == 503)
            #expect(page.text.contains(#"<meta http-equiv="refresh" content="2">"#))
            #expect(page.text.contains("“web” is starting"))
            #expect(page.field("retry-after") != nil)
            #expect(clock.now - start < .seconds(25))
            try await edge.control.apply(asleep(EdgeWake(holdMs: 1_000, pageAfterMs: 300)))
            start = clock.now
            let program = try await edge.get("/", fields: "Accept: application/json\r\n")
            #expect(program.status == 503)
            #expect(try JSONParser.parse(program.body)["code"]?.stringValue == "starting")
            #expect(clock.now - start >= .milliseconds(1_000))
        }
    }
}
