public import AgentProtocol
import Host
import HubStore
import Model
import ResourceKit

extension Hub {
    private static let logBytesMax = 4_194_304
    /// A petabyte: no log gets there, and sums of offsets do not overflow.
    private static let logOffsetMax: Int64 = 1 << 50
    private static let receiptSpace = "event_receipt"

    /// Takes a node's events: each once, in order, whatever arrives twice or late.
    /// - Throws: `invalid` for a batch whose numbers do not grow.
    public func receive(_ batch: EventBatch, nodeId: String) async throws -> EventReceipt {
        let numbers = batch.events.map(\.sequence)
        guard zip(numbers, numbers.dropFirst()).allSatisfy({ $0 < $1 }), numbers.first ?? 1 > 0 else {
            throw Problem.invalid("events", "must be numbered upwards")
        }
        guard batch.events.count <= 1000 else { throw Problem.invalid("events", "must be at most 1000") }
        return try await write { transaction in
            guard let node = try transaction.get("node", nodeId) else {
                throw Problem(.notFound, "The server is not known.")
            }
            let stackId = node.spec["stack_id"]?.stringValue
            var last = try transaction.cell(Self.receiptSpace, nodeId)?.intValue ?? 0
            for event in batch.events where event.sequence > last {
                if event.sequence > last + 1 {
                    try transaction.emit(
                        HubEvent(
                            time: event.time, kind: "config", nodeId: nodeId, stackId: stackId,
                            message: "\(event.sequence - last - 1) older events of the server were given up."))
                }
                last = event.sequence
                try transaction.emit(
                    HubEvent(
                        time: event.time, kind: String(event.kind.prefix(40)), nodeId: nodeId, stackId: stackId,
                        serviceId: event.serviceId, deploymentId: event.deploymentId,
                        message: String(event.message.prefix(4000))))
            }
            try transaction.putCell(Self.receiptSpace, nodeId, .int(last), expires: nil)
            return EventReceipt(acknowledged: last)
        }
    }

    /// Takes output of builds and services.
    /// - Throws: `forbidden` for a log of a service or deployment that is not of the node's stack.
    public func receive(_ batch: LogBatch, nodeId: String) async throws {
        guard batch.chunks.count <= 1000 else { throw Problem.invalid("chunks", "must be at most 1000") }
        guard batch.chunks.allSatisfy({ $0.offset < Self.logOffsetMax }) else {
            throw Problem.invalid("offset", "must be at most \(Self.logOffsetMax)")
        }
        guard batch.chunks.allSatisfy({ $0.stream.map(Self.isStreamName) ?? true && $0.offset >= -1 }) else {
            throw Problem.invalid("stream", "must be up to 64 hexadecimal digits, with an offset from 0")
        }
        try await write { transaction in
            guard let node = try transaction.get("node", nodeId), let stackId = node.spec["stack_id"]?.stringValue
            else { throw Problem(.notFound, "The server is not known.") }
            for chunk in batch.chunks {
                let owner =
                    chunk.source == "build"
                    ? try transaction.get("deployment", chunk.id)?.state["stack_id"]?.stringValue
                    : try transaction.get("service", chunk.id)?.parentId
                // A log of something that was deleted meanwhile is of no use to anybody.
                guard owner == stackId, chunk.source == "build" || chunk.source == "service" else { continue }
                let log = LogName(source: chunk.source, id: chunk.id, nodeId: nodeId)
                let time = Self.time(of: chunk, transaction)
                if let stream = chunk.stream {
                    try Self.append(chunk, stream: stream, to: log, transaction)
                    continue
                }
                try transaction.appendLog(
                    log, offset: chunk.offset < 0 ? try Self.end(of: log, transaction) : chunk.offset,
                    text: chunk.text, time: time, bytesMax: Self.logBytesMax)
            }
        }
    }

    private static let streamSpace = "log_stream"
    /// Long after an agent forgets a stream.
    private static let streamLifetime: Duration = .seconds(30 * 86_400)

    private static func isStreamName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Appends what is new of a stream. How far it has come is stored with the text, in one transaction: a piece whose
    /// answer got lost is known when it comes again.
    private static func append(
        _ chunk: LogChunk, stream: String, to log: LogName, _ transaction: any StoreTransaction
    ) throws {
        let key = "\(log.nodeId)/\(stream)"
        let start = max(chunk.offset, 0)
        // Of a stream that is new here nothing can be said to be missing.
        let known = try transaction.cell(streamSpace, key)?.intValue ?? start
        let bytes = Array(chunk.text.utf8)
        guard start + Int64(bytes.count) > known else { return }
        let fresh = bytes.dropFirst(Int(max(0, known - start)))
        let place = try end(of: log, transaction) + max(0, start - known)
        try transaction.appendLog(
            log, offset: place, text: String(decoding: fresh, as: UTF8.self), time: time(of: chunk, transaction),
            bytesMax: logBytesMax)
        try transaction.putCell(
            streamSpace, key, .int(start + Int64(bytes.count)), expires: transaction.now.advanced(by: streamLifetime))
    }

    /// Agents of earlier versions name no time; and nothing was written later than now.
    private static func time(of chunk: LogChunk, _ transaction: any StoreTransaction) -> Timestamp {
        min(chunk.time ?? transaction.now, transaction.now)
    }

    private static func end(of log: LogName, _ transaction: any StoreTransaction) throws -> Int64 {
        guard try transaction.logNames(source: log.source, id: log.id).contains(log) else { return 0 }
        return try transaction.log(log, from: logOffsetMax, bytesMax: 1).end
    }
}
