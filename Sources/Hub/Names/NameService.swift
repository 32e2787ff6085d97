import Host
public import HubCore
import HubStore
import Logging
import Model
import NamesResources
import ResourceKit
import Synchronization

/// Makes the name servers hold what is declared: zones, records, and the records of FQDNs.
///
/// It finds its work by looking at what is stored and at what the servers have, so that no death of the hub loses
/// any of it, and whatever else changes a record is put back. Of hubs on one store, one does it at a time.
public final class NameService: Sendable {
    private struct State {
        var servers = Backoff<ZoneServerAddress>()
        var zones = Backoff<String>()
        var spellings: [String: ZoneSpellings] = [:]
        var isLookDue = true
        /// On the monotonic clock; nothing while another hub has it.
        var leaseEnd: Duration?
    }

    private static let zonesAtOnce = 8
    private static let bindingsAtOnce = 200
    private static let pauseMax: Duration = .seconds(5)
    /// So that many changes in a row make few requests.
    private static let gathering: Duration = .milliseconds(20)
    private static let leaseSpan: Duration = .seconds(10)
    private static let leaseRenewal: Duration = .seconds(2)

    private let hub: Hub
    private let kinds: NameKinds?
    private let lookInterval: Duration
    private let connect: @Sendable (_ url: String, _ key: String) -> any ZoneServer
    private let state = Mutex(State())
    private let signal = Signal()
    private let holder: String

    /// - Parameters:
    ///   - holder: names this hub in the lease; one that keeps its name has its lease back at once after a restart.
    ///   - lookInterval: how often every zone is compared with its server.
    ///   - connect: a name server's API at an address, with its key in the open.
    public init(
        hub: Hub, holder: String? = nil, lookInterval: Duration = .seconds(300),
        connect: @escaping @Sendable (_ url: String, _ key: String) -> any ZoneServer = {
            PowerDNSClient(url: $0, key: $1)
        }
    ) {
        self.hub = hub
        self.lookInterval = lookInterval
        self.connect = connect
        self.holder = holder ?? hub.world.random.uuid()
        if let zone = hub.kind("zone"), let record = hub.kind("zone-record"), let fqdn = hub.kind("fqdn") {
            kinds = NameKinds(zone: zone, record: record, fqdn: fqdn)
        } else {
            kinds = nil
        }
    }

    /// Works until its task is cancelled.
    public func run() async {
        let feed = hub.changes.subscribe(
            to: .kinds([
                "zone", "zone-record", "fqdn", "brand", "platform-config", "shard", "cluster", "lb-address",
            ]))
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await change in feed { self.notice(change) } }
            group.addTask { await self.keepLease() }
            group.addTask { await self.keepLooking() }
            group.addTask { await self.work() }
            await group.waitForAll()
        }
    }

    private func notice(_ change: HubChange) {
        if !["zone", "zone-record", "fqdn"].contains(change.kind) {
            state.withLock { state in
                state.isLookDue = true
                state.servers.forget()
                state.zones.forget()
            }
        }
        signal.notify()
    }

    private func keepLooking() async {
        while !Task.isCancelled {
            // A cancelled sleep ends the loop at its head.
            try? await hub.world.clock.sleep(for: lookInterval)
            state.withLock { $0.isLookDue = true }
            signal.notify()
        }
    }

    private func work() async {
        while !Task.isCancelled {
            do {
                try await pass()
            } catch {
                hub.logger.warning("names could not be looked at", metadata: ["error": "\(error)"])
            }
            let now = hub.world.clock.monotonic()
            let next = state.withLock { state in
                [state.servers.next(now: now), state.zones.next(now: now)].compactMap { $0 }.min()
            }
            await signal.wait(atMost: min(next ?? Self.pauseMax, Self.pauseMax), hub.world.clock)
            // A cancelled sleep ends the loop at its head.
            try? await hub.world.clock.sleep(for: Self.gathering)
        }
    }

    /// One look at everything that is on its way, and at all else when that is due.
    /// - Throws: what the store throws.
    public func pass() async throws {
        guard let kinds, mayWork else { return }
        let isAll = state.withLock { state in
            defer { state.isLookDue = false }
            return state.isLookDue
        }
        do {
            let work = try await hub.read { try NameWork(kinds, isAll: isAll, $0) }
            try await bind(work.fqdnIds)
            if isAll { try await refreshCertificates() }
            await synchronize(work.zones)
        } catch {
            if isAll { state.withLock { $0.isLookDue = true } }
            throw error
        }
    }

    private func bind(_ ids: [String]) async throws {
        for start in stride(from: 0, to: ids.count, by: Self.bindingsAtOnce) {
            let some = Array(ids[start..<min(start + Self.bindingsAtOnce, ids.count)])
            try await hub.write { transaction in
                var binding = FQDNBinding(transaction)
                for id in some { try binding.bind(id) }
            }
        }
    }

    /// Which certificate is current changes with the time alone.
    private func refreshCertificates() async throws {
        guard let kind = hub.kind("certificate") else { return }
        var query = ListQuery(limit: Self.bindingsAtOnce)
        repeat {
            let asked = query
            let page = try await hub.read { try $0.page(kind, asked) }
            let fqdnIds = Set(page.records.compactMap(\.parentId))
            if !fqdnIds.isEmpty {
                try await hub.write { transaction in
                    for id in fqdnIds.sorted() { try Certificates.refresh(fqdnId: id, transaction) }
                }
            }
            query.cursor = page.nextCursor
        } while query.cursor != nil
    }

    private func synchronize(_ zones: [String: [String]]) async {
        await withTaskGroup(of: Void.self) { group in
            var waiting = zones.sorted { $0.key < $1.key }[...]
            for _ in 0..<Self.zonesAtOnce {
                guard let (name, departing) = waiting.popFirst() else { break }
                group.addTask { await self.synchronize(name, departing) }
            }
            while await group.next() != nil, let (name, departing) = waiting.popFirst() {
                if Task.isCancelled { return }
                group.addTask { await self.synchronize(name, departing) }
            }
        }
    }

    private func synchronize(_ name: String, _ departing: [String]) async {
        guard mayWork else { return }
        do {
            let snapshot = try await hub.read { try ZoneSnapshot(name: name, departing: departing, $0) }
            guard snapshot.zone != nil || !snapshot.departed.isEmpty else { return }
            try await synchronize(snapshot)
        } catch is CancellationError {
            return
        } catch {
            hub.logger.warning(
                "a zone could not be brought up to date", metadata: ["zone": "\(name)", "error": "\(error)"])
            fail(zone: name, "The hub could not look at it.")
        }
    }

    private func synchronize(_ snapshot: ZoneSnapshot) async throws {
        let (name, address) = (snapshot.name, snapshot.settings?.server)
        let now = hub.world.clock.monotonic()
        let (pause, known) = state.withLock { state in
            (
                address.flatMap { state.servers.message($0, now: now) } ?? state.zones.message(name, now: now),
                state.spellings[name] ?? ZoneSpellings()
            )
        }
        let server = try address.map { connect($0.url, try hub.world.secrets.open($0.key)) }
        let synchronization = ZoneSynchronization(hub: hub, snapshot: snapshot, server: server)
        if let pause { return try await synchronization.wait(pause) }
        do {
            let spellings = try await synchronization.run(known)
            state.withLock { state in
                state.spellings[name] = spellings
                state.zones.succeeded(name)
                if let address { state.servers.succeeded(address) }
            }
        } catch let failure as ZoneServerFailure {
            hub.logger.warning("a zone waits", metadata: ["zone": "\(name)", "reason": "\(failure.message)"])
            if case .away = failure, let address {
                let now = hub.world.clock.monotonic()
                state.withLock { $0.servers.failed(address, "\(failure.message) Trying again.", now: now) }
            } else {
                fail(zone: name, "\(failure.message) Trying again.")
            }
            try await synchronization.wait("\(failure.message) Trying again.")
        }
    }

    private func fail(zone name: String, _ message: String) {
        let now = hub.world.clock.monotonic()
        state.withLock { $0.zones.failed(name, message, now: now) }
    }
}

// MARK: - One hub at a time

extension NameService {
    private var mayWork: Bool {
        guard hub.store.isShared else { return true }
        let now = hub.world.clock.monotonic()
        return state.withLock { $0.leaseEnd.map { $0 > now } ?? false }
    }

    private func keepLease() async {
        guard hub.store.isShared else { return }
        while !Task.isCancelled {
            do {
                try await takeLease()
            } catch {
                // What was held is held until its end: no other hub takes it before.
                hub.logger.warning("the lease on names could not be kept", metadata: ["error": "\(error)"])
            }
            // A cancelled sleep ends the loop at its head.
            try? await hub.world.clock.sleep(for: Self.leaseRenewal)
        }
    }

    private func takeLease() async throws {
        let holder = holder
        // Counted from before the write, so that this hub stops first if the two clocks tell the same span.
        let began = hub.world.clock.monotonic()
        let isHeld = try await hub.store.write { transaction in
            let expiry = transaction.now.advanced(by: Self.leaseSpan)
            let entry: JSONValue = ["holder": .string(holder)]
            if try transaction.insertCell("lease", "names", entry, expires: expiry) { return true }
            guard try transaction.cell("lease", "names")?["holder"]?.stringValue == holder else { return false }
            try transaction.putCell("lease", "names", entry, expires: expiry)
            return true
        }
        let isNew = state.withLock { state in
            let hadIt = state.leaseEnd.map { $0 > began } ?? false
            state.leaseEnd = isHeld ? began + Self.leaseSpan : nil
            if isHeld, !hadIt { state.isLookDue = true }
            return isHeld && !hadIt
        }
        if isNew { signal.notify() }
    }
}
