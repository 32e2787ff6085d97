import HubCore
import HubStore
import Model
import NamesResources
import ResourceKit

/// Brings one zone on its name server to what is stored, and notes in the store what came of it.
struct ZoneSynchronization {
    /// Sizes of one request; PowerDNS takes 2 MB by default.
    private static let changesMax = 400
    private static let bytesMax = 1 << 20

    let hub: Hub
    let snapshot: ZoneSnapshot
    let server: (any ZoneServer)?

    /// - Returns: how the server writes what it was given.
    /// - Throws: ``ZoneServerFailure`` when it is to be tried again; whatever the store throws.
    func run(_ known: ZoneSpellings) async throws -> ZoneSpellings {
        guard let zone = snapshot.zone else {
            try await server?.delete(snapshot.name)
            try await settle(failures: [:], members: [:])
            return ZoneSpellings()
        }
        guard let server, let authority = snapshot.settings?.authority else {
            try await wait(server == nil ? ZoneSettings.noServer : ZoneSettings.noNameServers)
            // What no server was ever given needs no server to go.
            if server == nil { try await removeDeparted() }
            return known
        }
        let plan: ZonePlan
        do {
            plan = try ZonePlan(
                name: snapshot.name, authority: authority, records: snapshot.records,
                departed: snapshot.departedRecords)
        } catch {
            throw Problem(.internalError, "A stored record cannot be read.", context: "\(zone.id): \(error)")
        }
        do {
            return try await synchronize(plan, server, known)
        } catch ZoneServerFailure.refused(let message) {
            try await failZone(message)
            return known
        }
    }

    private func synchronize(
        _ plan: ZonePlan, _ server: any ZoneServer, _ known: ZoneSpellings
    ) async throws -> ZoneSpellings {
        var known = known
        var served = try await server.zone(plan.name)
        if served == nil {
            let own = plan.wanted.values.filter { $0.key.name == plan.name && ["SOA", "NS"].contains($0.key.type) }
            try await server.create(plan.name, sets: own.sorted { $0.key < $1.key })
            served = try await server.zone(plan.name)
        }
        guard let before = served else {
            throw ZoneServerFailure.troubled("The name server does not keep the zone.")
        }
        let changes = plan.changes(from: before, known: known)
        var failures: [RecordSet.Key: String] = [:]
        if !changes.isEmpty {
            for batch in Self.batches(changes) { failures.merge(try await apply(batch, server)) { $1 } }
            let after = try await server.zone(plan.name) ?? ServedZone([])
            for change in changes where failures[change.key] == nil {
                switch (change, after.sets[change.key]) {
                case (.replace(let set), let written?): known.note(plan.wanted[set.key] ?? set, written)
                case (.delete, nil): break
                case (.replace, nil): failures[change.key] = "The name server took it and does not have it."
                case (.delete, .some): failures[change.key] = "The name server still has it."
                }
            }
        }
        try await settle(failures: failures, members: plan.members)
        return known
    }

    private static func batches(_ changes: [RecordSetChange]) -> [[RecordSetChange]] {
        var result: [[RecordSetChange]] = []
        var (batch, bytes): ([RecordSetChange], Int) = ([], 0)
        for change in changes {
            var size = 300
            if case .replace(let set) = change { size += set.contents.reduce(0) { $0 + $1.utf8.count + 50 } }
            if batch.count == changesMax || bytes + size > bytesMax, !batch.isEmpty {
                result.append(batch)
                (batch, bytes) = ([], 0)
            }
            batch.append(change)
            bytes += size
        }
        return result + [batch]
    }

    /// All at once; when the server does not take that, one by one, so that one refused set fails alone.
    private func apply(
        _ changes: [RecordSetChange], _ server: any ZoneServer
    ) async throws -> [RecordSet.Key: String] {
        do {
            try await server.change(snapshot.name, changes)
            return [:]
        } catch ZoneServerFailure.refused(let message) {
            guard changes.count > 1 else { return [changes[0].key: message] }
        }
        var failures: [RecordSet.Key: String] = [:]
        for change in changes {
            do {
                try await server.change(snapshot.name, [change])
            } catch ZoneServerFailure.refused(let message) {
                failures[change.key] = message
            }
        }
        return failures
    }
}

// MARK: - What is noted

extension ZoneSynchronization {
    /// The record as it is now, if nobody changed it since it was looked at.
    private static func unchanged(
        _ seen: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord? {
        try transaction.get(seen.kind, seen.id).flatMap { $0.version == seen.version ? $0 : nil }
    }

    private func settle(failures: [RecordSet.Key: String], members: [RecordSet.Key: [String]]) async throws {
        let (hub, snapshot) = (hub, snapshot)
        guard snapshot.isUnsettled else { return }
        let failedIds = Dictionary(
            failures.flatMap { key, message in (members[key] ?? []).map { ($0, message) } },
            uniquingKeysWith: { first, _ in first })
        let zoneFailure = ["SOA", "NS"].lazy.compactMap { failures[.init(name: snapshot.name, type: $0)] }.first
        let undeleted = Set(failures.keys.filter { members[$0] == nil })
        try await hub.write { transaction in
            for seen in snapshot.records where seen.isUnsettled {
                guard var record = try Self.unchanged(seen, transaction) else { continue }
                if record.status == .deleting {
                    let key = RecordSet.Key(
                        name: RecordName.absolute(ZoneRecords.name(record), in: snapshot.name),
                        type: record.spec["type"]?.stringValue ?? "")
                    if !undeleted.contains(key) { try transaction.remove(record.kind, record.id) }
                    continue
                }
                record.statusMessage = failedIds[record.id]
                record.status = record.statusMessage == nil ? .active : .failed
                if record.status == .active { record.state["former"] = nil }
                _ = try transaction.put(record)
            }
            if let seen = snapshot.zone, seen.isArriving, var zone = try Self.unchanged(seen, transaction) {
                zone.status = zoneFailure == nil ? .active : .failed
                zone.statusMessage = zoneFailure
                _ = try transaction.put(zone)
            }
            try Self.remove(snapshot, hub, transaction)
        }
    }

    private static func remove(_ snapshot: ZoneSnapshot, _ hub: Hub, _ transaction: any StoreTransaction) throws {
        for record in snapshot.departedRecords { try transaction.remove(record.kind, record.id) }
        for zone in snapshot.departed { try hub.finishDeletion(zone.kind, zone.id, transaction) }
    }

    private func removeDeparted() async throws {
        let (hub, snapshot) = (hub, snapshot)
        let gone = snapshot.records.filter { $0.status == .deleting }
        guard !gone.isEmpty || !snapshot.departed.isEmpty else { return }
        try await hub.write { transaction in
            for record in gone where try transaction.get(record.kind, record.id)?.status == .deleting {
                try transaction.remove(record.kind, record.id)
            }
            try Self.remove(snapshot, hub, transaction)
        }
    }

    /// The server does not take the zone; its records cannot be anywhere.
    private func failZone(_ message: String) async throws {
        let snapshot = snapshot
        try await hub.write { transaction in
            if let seen = snapshot.zone, var zone = try Self.unchanged(seen, transaction), zone.status != .failed {
                zone.status = .failed
                zone.statusMessage = message
                _ = try transaction.put(zone)
            }
            try Self.note(snapshot.records.filter(\.isArriving), "Its zone failed. \(message)", .failed, transaction)
        }
    }

    /// Says on all that is on its way what it waits for.
    func wait(_ message: String) async throws {
        let waiting =
            ([snapshot.zone].compactMap { $0 } + snapshot.records + snapshot.departed + snapshot.departedRecords)
            .filter { $0.isUnsettled && ($0.status == .pending || $0.statusMessage != message) }
        guard !waiting.isEmpty else { return }
        try await hub.write { try Self.note(waiting, message, .provisioning, $0) }
    }

    private static func note(
        _ records: [ResourceRecord], _ message: String, _ status: ResourceStatus,
        _ transaction: any ResourceTransaction
    ) throws {
        for seen in records {
            guard var record = try unchanged(seen, transaction) else { continue }
            if record.status != .deleting { record.status = status }
            record.statusMessage = message
            if record != seen { _ = try transaction.put(record) }
        }
    }
}
