import Catalog
import HubCore
import Model
import NIOHTTP1
import ResourceKit
import Testing

/// The rules that hold for every kind, asked of the real server for each kind of the catalogue.
@Suite struct KindRuleTests {
    static let created = Catalog.kinds.filter { $0.verbs.contains(.create) }.map(\.name)
    static let all = Catalog.kinds.map(\.name)

    private func kind(_ name: String) throws -> ResourceKind { try #require(Catalog.kind(named: name)) }

    /// A status that says that work is under way or done, and never the one from before.
    private func expectAccepted(_ answer: ServerFixture.Answer, _ kind: ResourceKind, sync: Int) throws {
        #expect(answer.status == (kind.isAsynchronous ? 202 : sync), "\(kind.name): \(answer.text)")
        let status = try answer.json["status"]?.stringValue
        #expect(kind.isAsynchronous ? status != "active" : status == "active", "\(kind.name): \(status ?? "none")")
    }

    @Test(arguments: created) func livesByTheRules(name: String) async throws {
        let kind = try kind(name)
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            let path = try await samples.collection(kind)
            let body = try await samples.body(kind)
            // The key that asks is there already.
            let others = try await ids(path, server)
            // A plan changes nothing.
            let plan = try await server.send(.POST, "\(path)?plan=true", body)
            #expect(plan.status == 200, "\(plan.text)")
            #expect(try plan.json["plan"]?.arrayValue?.isEmpty == false)
            #expect(try await ids(path, server) == others)
            let created = try await server.send(.POST, path, body)
            try expectAccepted(created, kind, sync: 201)
            let id = try #require(try created.json["id"]?.stringValue)
            for member in ["id", "status", "status_message", "created_at", "updated_at"] {
                #expect(try created.json[member] != nil, "\(member)")
            }
            let item = "\(kind.plural)/\(id)"
            let read = try await server.send(.GET, item)
            #expect(read.status == 200)
            #expect(try await ids(path, server) == others + [id])
            try await checkLists(kind, path, id, server)
            try await checkRefusals(kind, path, item, body, server)
            if kind.verbs.contains(.update) { try await checkUpdates(kind, item, server) }
            try await checkActions(kind, item, server)
            try await checkDeletion(kind, path, item, body, server)
        }
    }

    private func ids(_ path: String, _ server: ServerFixture) async throws -> [String] {
        let page = try await server.send(.GET, path).json
        return page["items"]?.arrayValue?.compactMap { $0["id"]?.stringValue } ?? []
    }

    private func checkLists(
        _ kind: ResourceKind, _ path: String, _ id: String, _ server: ServerFixture
    ) async throws {
        let page = try await server.send(.GET, path).json
        #expect(page["next_cursor"] == .null && page["has_more"] == false)
        #expect(Set(page.objectValue?.keys.map { $0 } ?? []) == ["items", "next_cursor", "has_more"])
        for sort in ["created_at", "updated_at", "id"] + kind.columns {
            let isList = (kind.fields + kind.reported).contains { field in
                if case .list = field.kind { return field.name == sort }
                return false
            }
            guard !isList else { continue }
            for order in ["asc", "desc"] {
                let answer = try await server.send(.GET, "\(path)?sort=\(sort)&order=\(order)&limit=1")
                #expect(try answer.status == 200 && answer.json["items"]?.arrayValue?.count == 1, "\(answer.text)")
            }
        }
        let found = try await server.send(.GET, "\(path)?search=\(id.prefix(20))")
        #expect(try found.json["items"]?.arrayValue?.count == 1, "\(found.text)")
        #expect(try await server.send(.GET, "\(path)?search=zzzzzz").json["items"]?.arrayValue?.isEmpty == true)
        #expect(try await server.send(.GET, "\(path)?status=failed").json["items"]?.arrayValue?.isEmpty == true)
        for query in ["cursor=x", "limit=0", "limit=201", "sort=nothing", "order=up", "status=odd", "status="] {
            #expect(try await server.send(.GET, "\(path)?\(query)").status == 400, "\(query)")
        }
    }

    private func checkRefusals(
        _ kind: ResourceKind, _ path: String, _ item: String, _ body: JSONValue, _ server: ServerFixture
    ) async throws {
        var unknown = body
        unknown["no_such_field"] = "x"
        let refused = try await server.send(.POST, path, unknown)
        #expect(try refused.status == 400 && refused.json["fields"]?["no_such_field"] != nil, "\(refused.text)")
        let large = try await server.send(
            .POST, path, raw: Array("{\"x\":\"".utf8) + [UInt8](repeating: 120, count: 1_048_576) + Array("\"}".utf8))
        #expect(large.status == 413)
        let bad = Array("{".utf8)
        #expect(try await server.send(.POST, path, raw: bad, anonymous: true).status == 401)
        let other = try await server.send(
            .POST, "api-keys", ["name": "other", "scopes": ["search:read"], "brands": ["*"]])
        let headers: HTTPHeaders = ["X-API-Key": try #require(try other.json["key"]?.stringValue)]
        for (method, place) in [(HTTPMethod.POST, path), (.PUT, item), (.DELETE, item), (.GET, item), (.GET, path)] {
            if method == .PUT, !kind.verbs.contains(.update) { continue }
            let answer = try await server.send(
                method, place, raw: method == .GET ? nil : bad, headers: headers, anonymous: true)
            #expect(answer.status == 403, "\(method) \(place)")
        }
        #expect(try await server.send(.GET, "\(kind.plural)/none").status == 404)
        if kind.verbs.contains(.update) {
            #expect(try await server.send(.PUT, "\(kind.plural)/none", raw: bad).status == 404)
        }
        if let parent = kind.parent, let above = Catalog.kind(named: parent.kind) {
            #expect(try await server.send(.POST, "\(above.plural)/none/\(kind.segment)", raw: bad).status == 404)
            #expect(try await server.send(.GET, "\(above.plural)/none/\(kind.segment)").status == 404)
        }
    }

    private func checkUpdates(_ kind: ResourceKind, _ item: String, _ server: ServerFixture) async throws {
        let label: JSONValue = ["subscription_id": "sub-1"]
        let plan = try await server.send(.PUT, "\(item)?plan=true", label)
        #expect(plan.status == 200)
        #expect(try await server.send(.GET, item).json["subscription_id"] == .null)
        let updated = try await server.send(.PUT, item, label)
        try expectAccepted(updated, kind, sync: 200)
        #expect(try updated.json["subscription_id"] == "sub-1")
        #expect(try await server.send(.GET, item).json["subscription_id"] == "sub-1")
        let stale = try await server.send(.PUT, item, label, headers: ["If-Match": "\"1000000\""])
        #expect(try stale.status == 409 && stale.json["code"] == "stale")
        let unknown = try await server.send(.PUT, item, ["no_such_field": 1])
        #expect(try unknown.status == 400 && unknown.json["fields"]?["no_such_field"] != nil)
    }

    /// Actions that need no argument, with an empty body, with and without a content type.
    private func checkActions(_ kind: ResourceKind, _ item: String, _ server: ServerFixture) async throws {
        let code = kind.isAsynchronous ? 202 : 200
        let outside: Set<String> = ["deploy", "rollback"]
        for action in kind.allActions where !action.fields.contains(where: \.isRequired) {
            if outside.contains(action.name) { continue }
            let typed = try await server.send(
                .POST, "\(item)/\(action.name)", headers: ["Content-Type": "application/json"])
            let plain = try await server.send(.POST, "\(item)/\(action.name)")
            let empty = try await server.send(.POST, "\(item)/\(action.name)", [:])
            // The action may not fit the state of a new resource, but then it says so.
            let allowed = action.name == "retry" ? [code] : [code, 409]
            for answer in [typed, plain, empty] {
                #expect(allowed.contains(answer.status), "\(kind.name) \(action.name): \(answer.text)")
            }
            let unknown = try await server.send(.POST, "\(item)/\(action.name)", ["no_such_field": 1])
            #expect(unknown.status == 400)
        }
        if kind.allActions.contains(where: { $0.name == "unsuspend" }) {
            _ = try await server.send(.POST, "\(item)/unsuspend")
        }
    }

    private func checkDeletion(
        _ kind: ResourceKind, _ path: String, _ item: String, _ body: JSONValue, _ server: ServerFixture
    ) async throws {
        if !kind.claims(sample(kind, body)).isEmpty {
            let twice = try await server.send(.POST, path, body)
            #expect(twice.status == 409, "\(kind.name) is there twice")
            // Whoever asked must see what to change.
            let fields = try twice.json["fields"]?.objectValue?.keys.map { String($0) } ?? []
            let known = kind.fields.map(\.name) + [kind.parent?.field ?? ""]
            #expect(!fields.isEmpty && fields.allSatisfy(known.contains), "\(twice.text)")
        }
        let gone = try await server.send(.DELETE, item)
        #expect(gone.status == (kind.isAsynchronous ? 202 : 204), "\(gone.text)")
        if !kind.isAsynchronous { #expect(gone.bytes.isEmpty) }
        let after = try await server.send(.GET, item)
        // Zones and records stay until a name server has let go of them, and there is none here.
        let isLeaving = try ["zone", "zone-record"].contains(kind.name) && after.json["status"] == "deleting"
        #expect(after.status == 404 || isLeaving, "\(kind.name): \(after.text)")
        // Its names are free at once; an Idempotency-Key answers alike, and refuses another body.
        let headers: HTTPHeaders = ["Idempotency-Key": "again"]
        let first = try await server.send(.POST, path, body, headers: headers)
        let second = try await server.send(.POST, path, body, headers: headers)
        #expect(first.status == (kind.isAsynchronous ? 202 : 201), "\(first.text)")
        #expect(second.status == first.status && second.bytes == first.bytes)
        var other = body
        other["subscription_id"] = "another"
        #expect(try await server.send(.POST, path, other, headers: headers).status == 409)
    }

    private func sample(_ kind: ResourceKind, _ body: JSONValue) -> ResourceRecord {
        let time = Timestamp(millisecondsSinceEpoch: 0)
        return ResourceRecord(
            kind: kind.name, id: "x", parentId: "p", brandId: "b", status: .active, spec: body.objectValue ?? [:],
            createdAt: time, updatedAt: time)
    }

    @Test func aConflictNamesTheField() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            func refused(_ path: String, _ body: JSONValue, _ field: String) async throws {
                let answer = try await server.send(.POST, path, body)
                #expect(answer.status == 409, "\(answer.text)")
                #expect(try answer.json["fields"]?.objectValue?.keys.sorted() == [field], "\(answer.text)")
            }
            let tenant = try await samples.one("tenant")
            let zone = try #require(try await server.send(.GET, "zones/\(try await samples.one("zone"))").json["name"])
            let name = try #require(zone.stringValue)
            var body = try await samples.body(try samples.kind("zone"))
            body["name"] = .string("\(name.uppercased()).")
            try await refused("zones", body, "name")
            var nested = try await samples.body(try samples.kind("tenant"))
            nested["zones"] = [["name": "other.example.org"], ["name": zone]]
            try await refused("tenants", nested, "zones[1].name")
            nested["zones"] = [["name": "other.example.org"], ["name": "other.example.org."]]
            try await refused("tenants", nested, "zones[1].name")
            var brand = try await samples.body(try samples.kind("brand"))
            brand["name"] = "Acme"
            _ = try await server.make("brands", brand)
            brand["name"] = "acme"
            try await refused("brands", brand, "name")
            brand["name"] = "other"
            brand["id"] = .string(try await samples.one("brand"))
            try await refused("brands", brand, "id")
            let certificate = try await samples.body(try samples.kind("certificate"))
            let path = "fqdns/\(try await samples.one("fqdn"))/certificates"
            _ = try await server.make(path, certificate)
            let twice = try await server.send(.POST, path, certificate)
            #expect(try twice.json["fields"]?.objectValue?.keys.sorted() == ["cert_pem"])
            #expect(try twice.json["error"] == "There is a certificate with the same cert_pem already.")
            #expect(!tenant.isEmpty)
        }
    }

    @Test func onlyAsynchronousKindsTakeACallback() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            for kind in Catalog.kinds where kind.verbs.contains(.create) {
                var body = try await samples.body(kind)
                body["callback_url"] = "http://127.0.0.1:1/done"
                let answer = try await server.send(.POST, try await samples.collection(kind), body)
                #expect(answer.status == (kind.isAsynchronous ? 202 : 400), "\(kind.name): \(answer.text)")
            }
        }
    }

    @Test func deletingAParentDeletesAllBelow() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            for name in Self.created { _ = try await samples.one(name) }
            var places: [(String, String)] = []
            for (name, id) in samples.shared { places.append((name, "\(try kind(name).plural)/\(id)")) }
            // A brand, region, cluster or shard cannot go under a tenant's feet.
            for name in ["brand", "region", "cluster", "shard"] {
                let refused = try await server.send(.DELETE, "\(try kind(name).plural)/\(samples.shared[name] ?? "")")
                #expect(refused.status == 409, "\(name): \(refused.text)")
            }
            for name in ["tenant", "region", "brand", "stack", "install-token", "user", "zone"] {
                guard let id = samples.shared[name] else { continue }
                let answer = try await server.send(.DELETE, "\(try kind(name).plural)/\(id)")
                #expect([202, 204].contains(answer.status), "\(name): \(answer.text)")
            }
            // Nothing is above these.
            for (name, place) in places where !["api-key", "oidc-client"].contains(name) {
                let answer = try await server.send(.GET, place)
                // Zones wait for the worker that takes them from the name server, which does not run here.
                let isLeaving = try ["zone", "zone-record"].contains(name) && answer.json["status"] == "deleting"
                #expect(answer.status == 404 || isLeaving, "\(name): \(answer.text)")
            }
        }
    }
}
