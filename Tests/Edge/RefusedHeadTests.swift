import Edge
import Testing

/// How heads that cannot be taken are answered.
@Suite(.serialized, .exclusive)
struct RefusedHeadTests {
    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: a b\r\n", 400), ("GET /#a HTTP/1.1\r\nHost: a\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n", 405),
        ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\nHost: a\r\n", 414),
        ("GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "A: b\r\n", count: 120), 431),
    ])
    func aHeadThatIsRefusedIsAnsweredInItsLanguage(head: String, status: Int) async throws {
        try await EdgeFixture.with { edge in
            let accept = "Accept: application/json\r\n"
            let json = try await edge.ask("\r\n\(head)\(accept)\r\n")
            #expect(json.status == status && json.field("content-type") == "application/json")
            // What stands behind the head is no part of it.
            let page = try await edge.ask("\(head)\r\n\(accept)\r\n")
            #expect(page.status == status && page.field("content-type") == "text/html; charset=utf-8")
        }
    }

    @Test func aSlowHeadIsAnsweredInItsLanguage() async throws {
        var limits = EdgeLimits()
        limits.requestHeadTimeout = .seconds(1)
        try await EdgeFixture.with(limits: limits) { edge in
            let answer = try await edge.ask("GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n")
            #expect(answer.status == 408 && answer.field("content-type") == "application/json")
        }
    }
}
