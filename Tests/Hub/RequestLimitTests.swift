import Catalog
import HubCore
import Model
import NIOHTTP1
import Testing

/// How much a key, and all keys of a brand, may ask for.
@Suite struct RequestLimitTests {
    private func key(_ server: ServerFixture, _ body: JSONValue) async throws -> HTTPHeaders {
        var body = body
        body["name"] = "limited"
        body["scopes"] = ["*:read"]
        let answer = try await server.send(.POST, "api-keys", body)
        return ["X-API-Key": try #require(try answer.json["key"]?.stringValue)]
    }

    private func statuses(_ server: ServerFixture, _ headers: HTTPHeaders, _ count: Int) async throws -> [Int] {
        var result: [Int] = []
        for _ in 0..<count {
            let answer = try await server.send(.GET, "tenants", headers: headers, anonymous: true)
            if answer.status == 429 {
                #expect((Int(answer.headers.first(name: "Retry-After") ?? "") ?? 0) > 0)
                #expect(try answer.json["code"] == "rate_limited")
            }
            result.append(answer.status)
        }
        return result
    }

    @Test func aKeyHasALimitOfItsOwn() async throws {
        try await ServerFixture.run { server in
            let few = try await key(server, ["brands": ["*"], "rate_limit": 1])
            #expect(try await statuses(server, few, 3) == [200, 429, 429])
            let many = try await key(server, ["brands": ["*"]])
            #expect(try await statuses(server, many, 20).allSatisfy { $0 == 200 })
        }
    }

    @Test func keysOfABrandShareOne() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            let brand = try await samples.one("brand")
            _ = try await server.send(.PUT, "brands/\(brand)", ["rate_limit": 2])
            let brands: JSONValue = ["brands": .array([.string(brand)])]
            let (first, second) = (try await key(server, brands), try await key(server, brands))
            #expect(try await statuses(server, first, 1) == [200])
            #expect(try await statuses(server, second, 2) == [200, 429])
            #expect(try await statuses(server, first, 1) == [429])
            // Others do not feel it.
            #expect(try await server.send(.GET, "tenants").status == 200)
        }
    }

    /// Right or wrong: what needs no key is counted by where it comes from.
    @Test func whatNeedsNoKeyHasALimit() throws {
        let fixture = try HubFixture()
        func ask(_ what: String, _ address: String = "192.0.2.1") throws {
            try fixture.hub.countAttempt(what, from: address)
        }
        for _ in 0..<300 { try ask("oidc token") }
        #expect(throws: Problem.self) { try ask("oidc token") }
        try ask("oidc authorize")
        try ask("oidc token", "192.0.2.2")
        fixture.clock.move(.seconds(1))
        try ask("oidc token")
    }
}
