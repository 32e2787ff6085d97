import Model
import NIOCore
import Synchronization

/// Asks endpoints by itself whether they are well: once for the whole process, whatever the number of event loops.
///
/// `@unchecked Sendable`: confined to one event loop.
final class ActiveHealth: @unchecked Sendable {
    private final class Probe {
        let check: EdgeHealthCheck
        let state: EndpointState
        var good = 0
        var bad = 0
        var isFailing = false
        var question: Subrequest?
        var next: Scheduled<Void>?
        var isStopped = false

        init(_ check: EdgeHealthCheck, _ state: EndpointState) {
            self.check = check
            self.state = state
        }
    }

    private struct Key: Hashable {
        var upstreamId: String
        var endpoint: ObjectIdentifier
    }

    private let eventLoop: SocketLoop
    private var probes: [Key: Probe] = [:]
    private var isStopped = false

    init(eventLoop: SocketLoop) { self.eventLoop = eventLoop }

    /// Checks what this table asks for, and no more.
    func follow(_ table: RoutingTable) {
        guard !isStopped else { return }
        var former = probes
        probes = [:]
        for (source, upstream) in zip(table.source.upstreams, table.upstreams) {
            guard let check = source.health?.check else { continue }
            for endpoint in upstream.endpoints {
                let key = Key(upstreamId: source.id, endpoint: ObjectIdentifier(endpoint.state))
                if let probe = former[key], probe.check == check {
                    former[key] = nil
                    probes[key] = probe
                } else if probes[key] == nil {
                    let probe = Probe(check, endpoint.state)
                    probes[key] = probe
                    ask(probe)
                }
            }
        }
        for probe in former.values { end(probe) }
    }

    func stop() {
        isStopped = true
        for probe in probes.values { end(probe) }
        probes = [:]
    }

    private func end(_ probe: Probe) {
        probe.isStopped = true
        probe.next?.cancel()
        probe.question?.cancel()
        probe.question = nil
        if probe.isFailing { probe.state.checksFailing(-1) }
    }

    private func ask(_ probe: Probe) {
        guard probe.state.isResolved else { return conclude(probe, isGood: false) }
        let host = probe.check.host ?? probe.state.key
        let request =
            "GET \(probe.check.path) HTTP/1.1\r\nHost: \(host)\r\nUser-Agent: roost-edge\r\n"
            + "Accept: */*\r\nConnection: close\r\n\r\n"
        probe.question = Subrequest.ask(
            probe.state, ByteBuffer(string: request), on: eventLoop, timeout: UInt64(probe.check.timeoutMs) * 1_000_000,
            bodyBytesMax: 1024 * 1024
        ) { answer in
            probe.question = nil
            self.conclude(probe, isGood: answer.map { (200..<400).contains($0.status) } ?? false)
        }
    }

    private func conclude(_ probe: Probe, isGood: Bool) {
        guard !probe.isStopped else { return }
        probe.good = isGood ? probe.good + 1 : 0
        probe.bad = isGood ? 0 : probe.bad + 1
        if probe.isFailing, probe.good >= probe.check.healthyAfter {
            probe.isFailing = false
            probe.state.checksFailing(-1)
        } else if !probe.isFailing, probe.bad >= probe.check.unhealthyAfter {
            probe.isFailing = true
            probe.state.checksFailing(1)
        }
        let pause = TimeAmount.milliseconds(Int64(probe.check.intervalMs))
        probe.next = eventLoop.assumeIsolated().scheduleTask(in: pause) { self.ask(probe) }
    }
}

extension EndpointState {
    fileprivate func checksFailing(_ change: Int) {
        health.checksFailing.add(change, ordering: .relaxed)
    }
}
