import Catalog
import Model
import NIOHTTP1
import ResourceKit
import TestSupport
import Testing

/// Bodies that create a resource of any kind: required fields from their examples, references to resources that it
/// makes first, all below one another so that they fit together.
final class KindSamples {
    /// What kinds need that no single required field says.
    private static let more: [String: JSONValue] = [
        "install-token": ["uses": 3],
        "service": [
            "git_url": "https://git.example.org/x.git", "run_command": "run", "hostnames": ["*.shop.example.org"],
        ],
        "preview": ["branch": "topic"], "site": ["upstream": "127.0.0.1:3000"],
        "certificate": [
            "cert_pem": .string(SampleCertificates.curve), "key_pem": .string(SampleCertificates.curveKey),
        ],
    ]
    private static let moreReferences: [String: String] = ["install-token": "shard_id"]

    private let server: ServerFixture
    private var number = 0
    /// The resource of a kind that others refer to and are below.
    private(set) var shared: [String: String] = [:]

    init(_ server: ServerFixture) { self.server = server }

    func kind(_ name: String) throws -> ResourceKind { try #require(Catalog.kind(named: name)) }

    /// The id of the shared resource of a kind, made when there is none yet.
    func one(_ name: String) async throws -> String {
        if let id = shared[name] { return id }
        let kind = try kind(name)
        let answer = try await server.send(.POST, try await collection(kind), try await body(kind))
        try #require((200..<300).contains(answer.status), "\(name): \(answer.text)")
        let id = try #require(try answer.json["id"]?.stringValue)
        shared[name] = id
        return id
    }

    /// Forgets the shared resource, so that the next one is new.
    func forget(_ name: String) { shared[name] = nil }

    /// Path of the collection that a resource of this kind is created in.
    func collection(_ kind: ResourceKind) async throws -> String {
        guard let parent = kind.parent, !parent.isOptional else { return kind.plural }
        return "\(try self.kind(parent.kind).plural)/\(try await one(parent.kind))/\(kind.segment)"
    }

    /// A body that is accepted; its names are new.
    func body(_ kind: ResourceKind) async throws -> JSONValue {
        number += 1
        var body = Self.more[kind.name] ?? [:]
        for field in kind.fields where field.isRequired || Self.moreReferences[kind.name] == field.name {
            if case .reference(let other) = field.kind {
                body[field.name] = .string(try await one(other))
            } else if body[field.name] != nil {
                continue
            } else if let text = Self.unique(field.name, number, kind.name) {
                body[field.name] = .string(text)
            } else {
                let sample: JSONValue = try #require(
                    field.example ?? field.defaultValue, "\(kind.name).\(field.name) has no example")
                body[field.name] = sample
            }
        }
        return body
    }

    private static func unique(_ field: String, _ number: Int, _ kind: String) -> String? {
        switch field {
        case "name" where kind == "zone", "fqdn": "sample-\(number).example.org"
        case "name": "sample-\(number)"
        case "email": "sample-\(number)@example.org"
        case "hostname", "domain": "sample-\(number).example.org"
        case "username": "sample-\(number)"
        case "password": "correct horse \(number)"
        case "address": "192.0.2.\(number % 250 + 1)"
        case "version": "8.\(number)"
        default: nil
        }
    }
}
