import AgentProtocol
import Host
import Model
import ResourceKit

struct InstallTokenBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        var record = record
        for kind in ["stack", "shard"] {
            guard let given = record.spec[kind]?.stringValue else { continue }
            record.spec[kind] = nil
            record.spec["\(kind)_id"] = .string(try Self.id(of: kind, given, transaction))
            _ = try transaction.put(record)
        }
    }

    private static func id(
        of kind: String, _ given: String, _ transaction: any ResourceTransaction
    ) throws -> String {
        if let known = try transaction.get(kind, given), known.status != .deleting { return known.id }
        let named = try transaction.all(kind, parentId: nil).filter {
            $0.spec["name"]?.stringValue == given && $0.status != .deleting
        }
        guard let first = named.first else { throw Problem.invalid(kind, "is not the id or name of a \(kind)") }
        // Names of shards are unique in their cluster only.
        guard named.count == 1 else { throw Problem.invalid(kind, "is the name of several; give the id") }
        return first.id
    }

    func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue] {
        let lifetime = record.spec["expires_in"].flatMap { Duration(json: $0) } ?? .seconds(3600)
        let token = InstallToken.text(id: record.id, secret: world.random.hex(32))
        record.state["token_sha256"] = .string(sha256Hex(Array(token.utf8)))
        record.state["expires_at"] = .string(world.clock.now().advanced(by: lifetime).rfc3339)
        record.state["uses_left"] = record.spec["uses"] ?? 1
        return ["token": .string(token)]
    }
}
