import AgentProtocol
import Host
import Logging
import Model
import Synchronization

/// Keeps one service as desired: observe, plan, do the first step, and again. Services do not wait for each other.
final class ServiceWorker: Sendable {
    /// What the worker shares with the agent.
    struct Shared {
        var desired: DesiredService?
        var peers: [String] = []
        var suffix = "svc.internal"
        /// Whether the desired state named this service at all since the agent knows one; before, nothing is removed.
        var isDecided = false
        var report: ServiceReport?
        var isConverged = false
        var isGone = false
    }

    let name: String
    let serviceId: String
    let paths: ServicePaths
    let parts: WorkerParts
    let shared = Mutex(Shared())
    private let wake = Signal()

    init(name: String, serviceId: String, parts: WorkerParts) {
        self.name = name
        self.serviceId = serviceId
        self.parts = parts
        paths = parts.paths.service(name)
    }

    func setDesired(_ service: DesiredService?, peers: [String], suffix: String) {
        let isNews = shared.withLock { shared -> Bool in
            defer {
                shared.desired = service
                shared.peers = peers
                shared.suffix = suffix
                shared.isDecided = true
            }
            return !shared.isDecided || shared.desired != service
        }
        if isNews { wake.notify() }
    }

    /// Puts a problem into the report of this service, for the next heartbeat.
    func report(_ problem: String, _ memory: ServiceMemory) {
        shared.withLock { shared in
            let none = ServiceReport(
                serviceId: serviceId, name: name, state: "pending", servingDeploymentId: nil, commit: nil, release: nil,
                ports: [], restarts: 0, lastError: nil, memoryBytes: nil, deployment: memory.report)
            shared.report = shared.report ?? none
            shared.report?.lastError = problem
        }
        parts.changed.notify()
    }

    /// Something outside changed that the next turn should see.
    func lookAgain() { wake.notify() }

    var report: ServiceReport? { shared.withLock { $0.report } }
    var isConverged: Bool { shared.withLock { $0.isConverged } }
    var isGone: Bool { shared.withLock { $0.isGone } }

    /// Runs until cancelled, or until the service is removed with all that belongs to it.
    func run(_ memory: ServiceMemory) async {
        var run = WorkerRun(worker: self, memory: memory)
        var failures = 0
        while !Task.isCancelled {
            do {
                let pause = try await run.turn()
                failures = 0
                if run.isForgotten {
                    shared.withLock { $0.isGone = true }
                    parts.changed.notify()
                    return
                }
                if pause > .zero { await wake.wait(atMost: pause, parts.host.clock) }
            } catch is CancellationError {
                return
            } catch {
                failures += 1
                run.note(error)
                await wake.wait(atMost: .milliseconds(min(100 << min(failures, 8), 15_000)), parts.host.clock)
            }
        }
    }
}

/// What all workers of an agent use.
struct WorkerParts: Sendable {
    let host: Host
    let paths: AgentPaths
    let edge: EdgeDirector
    let outbox: Outbox
    let uploads: UploadFetch
    let units: UnitWatch
    let traffic: TrafficWatch
    /// Builds at once; more would starve what serves.
    let builds: Slots
    let changed: Signal
    let shipper: LogShipper
    /// Where the internal proxy answers, for `SERVICE_<NAME>_URL`.
    let internalPort: Int
    let logger: Logger
}

/// A counting semaphore for tasks.
final class Slots: Sendable {
    private struct State {
        var free: Int
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(free: count)) }

    func take() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state -> Bool in
                if state.free > 0 {
                    state.free -= 1
                    return true
                }
                state.waiters.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    func give() {
        state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiters.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiters.removeFirst()
        }?.resume()
    }
}

/// The units of this machine, listed at most every 100 ms for all workers together.
actor UnitWatch {
    private let host: Host
    private var last: [String: UnitStatus] = [:]
    private var readAt: Duration?
    /// Longest age of an answer unless a fresh one is asked for.
    private static let ageMax: Duration = .milliseconds(100)

    init(host: Host) { self.host = host }

    func all(isFresh: Bool = false) async throws -> [String: UnitStatus] {
        if !isFresh, let readAt, host.clock.monotonic() - readAt < Self.ageMax { return last }
        let listed = try await host.supervisor.list()
        last = Dictionary(listed.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        readAt = host.clock.monotonic()
        return last
    }
}
