import AgentProtocol
import Host
import Logging
import Model
import Synchronization

/// What the edge said last of who asks for which service.
final class TrafficWatch: Sendable {
    /// An older answer says nothing about now.
    private static let ageMax: Duration = .seconds(20)

    private struct State {
        var status: EdgeStatus?
        var readAt: Duration?
    }

    private let state = Mutex(State())

    /// - Returns: ids of the services that are wanted now and were not before.
    func note(_ status: EdgeStatus, at now: Duration) -> Set<String> {
        state.withLock { state in
            let before = Set(state.status?.wakeRequested ?? [])
            state = State(status: status, readAt: now)
            return Set(status.wakeRequested).subtracting(before)
        }
    }

    /// A request waits for the service to wake.
    func isWanted(_ serviceId: String) -> Bool {
        state.withLock { $0.status?.wakeRequested.contains(serviceId) ?? false }
    }

    /// Whether nobody asked for the service for a time; false when that is not known.
    /// - Parameter since: from when on it could be asked.
    func isIdle(_ serviceId: String, for timeout: Duration, since: Duration, clock: any HostClock) -> Bool {
        let now = clock.monotonic()
        guard now - since >= timeout else { return false }
        let (status, readAt) = state.withLock { ($0.status, $0.readAt) }
        guard let status, let readAt, now - readAt <= Self.ageMax else { return false }
        guard let traffic = status.upstreams[serviceId] else { return true }
        guard traffic.inFlight == 0 else { return false }
        return traffic.lastRequestAt.map { clock.now().since($0) >= timeout } ?? true
    }
}

extension Agent {
    /// Listens for requests that wait for a service that sleeps, and notes who was asked when. Only where some service
    /// may sleep.
    func watchTraffic() async {
        var serial = 0
        while !Task.isCancelled {
            do {
                guard await keeper.current?.services.contains(where: { $0.idleTimeoutMs != nil }) == true else {
                    try await host.clock.sleep(for: .seconds(5))
                    continue
                }
                let status = try await host.edge.status(afterWake: serial, wait: .seconds(5))
                serial = status.wakeSerial
                lookAgain(at: traffic.note(status, at: host.clock.monotonic()))
            } catch is CancellationError {
                return
            } catch {
                logger.debug("the edge could not be asked", metadata: ["error": "\(error)"])
                // A cancelled sleep ends the loop at its head.
                try? await host.clock.sleep(for: .seconds(1))
            }
        }
    }
}
