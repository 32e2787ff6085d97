import HubCore
import Model
import ResourceKit
import Workflow

/// A tenant with a zone and a name is moved to another shard, with the power of the hub cut at every write from the
/// wish on. It must end the same: moved, or back where it was.
public enum MigrationWalk {
    /// How the names of the tenant take the move.
    public enum Story: Sendable {
        /// They are in force again within seconds.
        case moves
        /// They are not, and somebody cancels the run: the tenant is brought back.
        case isBroughtBack
    }

    /// What must be the same however often the hub died on the way.
    public struct EndState: Equatable, Sendable {
        public var shard: String
        public var tenant: String
        public var names: [String]
        public var runs: [String]
    }

    /// How a life went.
    public struct Life: Sendable {
        public var end: EndState
        /// Counted from the wish on.
        public var hubWrites: Range<Int>
    }

    /// - Throws: when the life cannot go on at all.
    public static func live(
        _ story: Story, _ cut: (write: Int, moment: CuttingGate.Moment)? = nil, seed: UInt64 = 13
    ) async throws -> Life {
        let random = SeededRandom(seed)
        let clock = VirtualTime(random: random.fork())
        return try await clock.run {
            let world = try World(clock: clock, random: random, runsWorkflows: true)
            try await world.startHub(cutAt: cut?.write, cut?.moment ?? .before)
            return try await live(story, world)
        }
    }

    private static func live(_ story: Story, _ world: World) async throws -> Life {
        let tenant = try await tenant(world)
        try await settleNames(world)
        let writes = world.hubWrites
        try await migrate(tenant, world)
        // Stands for the worker of names, which needs a name server.
        for second in 0..<40 {
            try await world.clock.sleep(for: .seconds(1))
            if story == .isBroughtBack, second == 5 { try await cancel(world) }
            let status = try await status(of: tenant, world)
            if story == .moves || status == .active { try await settleNames(world) }
        }
        let life = Life(
            end: try await endState(tenant, world), hubWrites: writes..<max(writes, world.hubWrites))
        await world.shutDown()
        return life
    }

    private static func make(
        _ kind: String, below parent: String? = nil, _ body: JSONValue, _ world: World
    ) async throws -> String {
        try await world.withHub { hub in
            guard let kind = hub.kind(kind) else { throw Problem(.internalError, "There is no such kind.") }
            let answer = try await hub.create(kind, parentId: parent, body: body, as: .local)
            return answer.body["id"]?.stringValue ?? ""
        }
    }

    private static func tenant(_ world: World) async throws -> String {
        let brand: JSONValue = [
            "name": "acme", "base_hostname": "acme.example", "primary_ns": "ns1.acme.example",
            "secondary_ns": "ns2.acme.example", "hostmaster_email": "dns@acme.example",
        ]
        _ = try await make("brand", brand, world)
        _ = try await make("region", ["name": "eu"], world)
        _ = try await make("cluster", below: "eu", ["name": "eu-a"], world)
        let former = try await make("shard", below: "eu-a", ["name": "web-1", "role": "web"], world)
        _ = try await make("shard", below: "eu-a", ["name": "web-2", "role": "web"], world)
        let tenant = try await make(
            "tenant",
            ["brand_id": "acme", "region_id": "eu", "cluster_id": "eu-a", "shard_id": .string(former)], world)
        _ = try await make("zone", below: tenant, ["name": "example.org"], world)
        _ = try await make("fqdn", below: tenant, ["fqdn": "www.example.org"], world)
        return tenant
    }

    private static func settleNames(_ world: World) async throws {
        try await world.withHub { hub in
            try await hub.write { transaction in
                for kind in ["zone", "fqdn"] {
                    for var record in try transaction.all(kind, parentId: nil) where record.status != .active {
                        record.status = .active
                        _ = try transaction.put(record)
                    }
                }
            }
        }
    }

    private static func status(of tenant: String, _ world: World) async throws -> ResourceStatus? {
        try await world.withHub { hub in try await hub.read { try $0.get("tenant", tenant)?.status } }
    }

    private static func migrate(_ tenant: String, _ world: World) async throws {
        try await world.withHub { hub in
            guard let kind = hub.kind("tenant"), let action = kind.actions.first(where: { $0.name == "migrate" }) else {
                throw Problem(.internalError, "Tenants cannot be moved.")
            }
            let shards = try await hub.read { try $0.all("shard", parentId: "eu-a") }
            let target = shards.first { $0.spec["name"] == "web-2" }?.id ?? ""
            // Whoever asks twice because the first answer got lost finds that it was asked for.
            guard try await hub.read({ try $0.get("tenant", tenant)?.state["run_id"] }) == nil else { return }
            _ = try await hub.perform(
                action, on: kind, id: tenant,
                body: ["target_shard_id": .string(target), "migrate_zones": true, "migrate_fqdns": true], as: .local)
        }
    }

    private static func cancel(_ world: World) async throws {
        try await world.withHub { hub in
            for run in try await hub.workflowRuns(RunFilter(), as: .local) where !run.state.isFinal {
                _ = try await hub.cancelRun(run.id, as: .local)
            }
        }
    }

    private static func endState(_ tenant: String, _ world: World) async throws -> EndState {
        try await world.withHub { hub in
            let runs = try await hub.workflowRuns(RunFilter(), as: .local)
            return try await hub.read { transaction in
                let record = try transaction.get("tenant", tenant)
                let shard = try record?.spec["shard_id"]?.stringValue.flatMap { try transaction.get("shard", $0) }
                let names = try ["zone", "fqdn"].flatMap { try transaction.all($0, parentId: nil) }
                return EndState(
                    shard: shard?.spec["name"]?.stringValue ?? "none",
                    tenant: record?.status.rawValue ?? "none",
                    names: names.map { "\($0.kind) \($0.status.rawValue)" },
                    runs: runs.map { "\($0.workflow) \($0.state.rawValue)" })
            }
        }
    }
}
