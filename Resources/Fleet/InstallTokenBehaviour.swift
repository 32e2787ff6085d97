import AgentProtocol
import Host
import Model
import ResourceKit

struct InstallTokenBehaviour: KindBehaviour {
    func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue] {
        let lifetime = record.spec["expires_in"].flatMap { Duration(json: $0) } ?? .seconds(3600)
        let token = InstallToken.text(id: record.id, secret: world.random.hex(32))
        record.state["token_sha256"] = .string(sha256Hex(Array(token.utf8)))
        record.state["expires_at"] = .string(world.clock.now().advanced(by: lifetime).rfc3339)
        record.state["uses_left"] = record.spec["uses"] ?? 1
        return ["token": .string(token)]
    }
}
