import AgentProtocol
import Catalog
import CertificateEncoding
import Crypto
import Host
import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// A hub with one stack, and servers that say what they are told to.
struct SiteFixture {
    let fixture: HubFixture
    let stack: String

    init(stack name: String = "default") async throws {
        fixture = try HubFixture(kinds: Catalog.kinds)
        stack = try await fixture.make("stack", ["name": .string(name)])
    }

    var hub: Hub { fixture.hub }

    func service(_ name: String, _ more: [String: JSONValue] = [:]) async throws -> String {
        let body: [String: JSONValue] = [
            "name": .string(name), "git_url": "https://git.example.org/x.git", "run_command": "run",
        ]
        return try await fixture.make("service", below: stack, .object(body.merging(more) { $1 }))
    }

    func site(_ domain: String, _ more: [String: JSONValue] = [:]) async throws -> String {
        let body: [String: JSONValue] = ["domain": .string(domain), "upstream": "127.0.0.1:8080"]
        return try await fixture.make("site", .object(body.merging(more) { $1 }))
    }

    func read(_ kind: String, _ id: String) async throws -> JSONValue {
        try await hub.read(fixture.kind(kind), id: id, as: .local)
    }

    func update(_ kind: String, _ id: String, _ body: JSONValue) async throws {
        _ = try await hub.update(fixture.kind(kind), id: id, body: body, as: .local)
    }

    @discardableResult
    func delete(_ kind: String, _ id: String) async throws -> JSONValue {
        try await hub.delete(fixture.kind(kind), id: id, as: .local).body
    }

    func node(_ name: String) async throws -> String {
        let stack = stack
        return try await fixture.store.write { transaction in
            try transaction.put(
                ResourceRecord(
                    kind: "node", id: transaction.random.uuid(), status: .provisioning,
                    spec: ["name": .string(name), "stack_id": .string(stack)], state: ["is_silent": false],
                    createdAt: transaction.now, updatedAt: transaction.now)
            ).id
        }
    }

    func document(_ node: String) async throws -> DesiredState {
        _ = try await hub.ensureSigningKey()
        let envelope = try await hub.desiredState(nodeId: node)
        return try WireCoding.decode(DesiredState.self, from: envelope.document)
    }

    /// A heartbeat of a server that has taken the newest document, or the one of `generation`; then statuses follow.
    func beat(_ node: String, _ number: Int64, generation: Int64? = nil, _ sites: [SiteReport]?) async throws {
        let newest = try await document(node).generation
        try await hub.heartbeat(
            Heartbeat(
                sequence: number, agentVersion: "1", protocolVersion: protocolVersion,
                generation: generation ?? newest, hash: "", converged: true, services: [], machine: [:],
                eventsPending: 0, sites: sites),
            nodeId: node)
        try await hub.settle(stackId: stack)
    }
}

/// A certificate with its key, both in PEM form.
struct TestPair {
    let certificate: String
    let key: String

    init(_ names: [String], days: Int64 = 30) throws {
        let key = P256.Signing.PrivateKey()
        let now = ManualClock.start
        let der = try SelfSignedCertificate.der(
            names: names, addresses: [], key: key, from: now.advanced(by: .seconds(-100 * 86_400)),
            to: now.advanced(by: .seconds(days * 86_400)))
        certificate = PEM.encode("CERTIFICATE", der)
        self.key = key.pemRepresentation
    }

    var fields: [String: JSONValue] {
        ["tls": "upload", "certificate_pem": .string(certificate), "key_pem": .string(key)]
    }
}
