import AgentProtocol
import Host
import Model

/// Events that wait for the hub: numbered without gaps, kept on disk, delivered in order.
actor Outbox {
    /// More than this, and the oldest are given up; the hub sees the gap and says so.
    static let countMax = 10_000

    private struct Line: Codable {
        var acknowledged: Int64?
        var event: AgentEvent?
    }

    private let host: Host
    private let path: String
    private let gate = SerialGate()
    private var events: [AgentEvent] = []
    private var last: Int64 = 0
    private var acknowledged: Int64 = 0
    private var acknowledgedLines = 0
    let added = Signal()

    init(host: Host, path: String) {
        self.host = host
        self.path = path
    }

    /// Reads what an earlier agent left. An unfinished last line is an event that was never reported; it is dropped.
    func load() async throws {
        guard let bytes = try await host.files.read(path, bytesMax: 64 << 20) else { return }
        for text in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let value = try? JSONParser.parse(Array(text)),
                let line = try? WireCoding.decode(Line.self, from: value)
            else { continue }  // torn by a power cut: all later lines are whole
            if let number = line.acknowledged { acknowledged = max(acknowledged, number) }
            if let event = line.event, event.sequence > last {
                events.append(event)
                last = event.sequence
            }
        }
        last = max(last, acknowledged)
        events.removeAll { $0.sequence <= acknowledged }
        try await rewrite()
    }

    var pending: Int { events.count }

    func batch(_ countMax: Int) -> [AgentEvent] { Array(events.prefix(countMax)) }

    func add(
        _ kind: String, _ message: String, serviceId: String? = nil, deploymentId: String? = nil
    ) async throws {
        try await gate.run {
            try await self.append(kind, message, serviceId: serviceId, deploymentId: deploymentId)
        }
        added.notify()
    }

    private func append(_ kind: String, _ message: String, serviceId: String?, deploymentId: String?) async throws {
        let event = AgentEvent(
            sequence: last + 1, time: host.clock.now(), kind: kind, serviceId: serviceId, deploymentId: deploymentId,
            message: String(message.prefix(4000)))
        let line = try WireCoding.encode(Line(event: event)).canonicalBytes + [UInt8(ascii: "\n")]
        let (host, path) = (host, path)
        try await host.effect("outbox.append") { try await host.files.append(path, line, mode: 0o600) }
        last = event.sequence
        events.append(event)
        if events.count > Self.countMax { events.removeFirst(events.count - Self.countMax) }
    }

    func acknowledge(_ number: Int64) async throws {
        try await gate.run { try await self.trim(number) }
    }

    private func trim(_ number: Int64) async throws {
        guard number > acknowledged else { return }
        acknowledged = min(number, last)
        events.removeAll { $0.sequence <= acknowledged }
        acknowledgedLines += 1
        // Forgetting may wait: what is delivered twice is dropped by its number.
        if events.isEmpty || acknowledgedLines > 50 { try await rewrite() }
    }

    private func rewrite() async throws {
        acknowledgedLines = 0
        var bytes = try WireCoding.encode(Line(acknowledged: acknowledged)).canonicalBytes + [UInt8(ascii: "\n")]
        for event in events {
            bytes += try WireCoding.encode(Line(event: event)).canonicalBytes + [UInt8(ascii: "\n")]
        }
        let (host, path, text) = (host, path, bytes)
        try await host.effect("outbox.trim") { try await host.files.write(path, text, mode: 0o600) }
    }
}
