import AgentProtocol
public import Host
public import Model
import NIOCore
import NIOPosix

/// Speaks to an edge process over its control socket; one connection for each call.
public struct EdgeControlClient: EdgeControl {
    private let path: String
    private let timeout: Duration

    /// - Parameter socket: the path of ``EdgeListeners/controlSocket``.
    public init(socket path: String, timeout: Duration = .seconds(5)) {
        self.path = path
        self.timeout = timeout
    }

    /// Puts a table in force; returns when every new request is served by it.
    /// - Throws: `invalid` when the edge refused the table, `storage_failed` when it could not keep it, `unavailable`
    ///   when the edge is away, `timeout`.
    public func apply(_ table: EdgeTable) async throws { _ = try await ask(.apply(table)) }

    /// - Throws: `unavailable` when the edge is away, `timeout`.
    public func status() async throws -> EdgeStatus { try Self.status(try await ask(.status)) }

    /// The status as soon as a request waits for a service that is asleep, or after `wait` (25 seconds at most).
    /// - Parameter serial: ``EdgeStatus/wakeSerial`` of the last status.
    /// - Throws: `unavailable` when the edge is away, `timeout`.
    public func status(afterWake serial: Int, wait: Duration) async throws -> EdgeStatus {
        let limit = min(max(wait, .zero), .milliseconds(Int64(ControlMessage.waitMillisecondsMax)))
        let request = ControlMessage.Request.wake(after: serial, milliseconds: Int(limit.milliseconds))
        return try Self.status(try await ask(request, patience: limit))
    }

    /// The edge's counters in the text format of Prometheus.
    /// - Throws: `unavailable` when the edge is away, `timeout`.
    public func metrics() async throws -> String { try await ask(.metrics).stringValue ?? "" }

    private static func status(_ answer: JSONValue) throws(Problem) -> EdgeStatus {
        try WireCoding.decode(EdgeStatus.self, from: answer)
    }

    private func ask(_ request: ControlMessage.Request, patience: Duration = .zero) async throws -> JSONValue {
        let timeout = timeout + patience
        let message = try ControlMessage.encode(request)
        guard message.count <= ControlMessage.bytesMax else {
            throw Problem(.tooLarge, "The table is larger than the edge takes.")
        }
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = eventLoop.makePromise(of: [UInt8].self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: eventLoop)
                .connectTimeout(.milliseconds(timeout.milliseconds))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ControlReply(answer))
                    }
                }
                .connect(unixDomainSocketPath: path).get()
        } catch {
            answer.fail(error)
            throw Problem(
                .unavailable, "The edge is not running.", hint: "It is started by the agent.",
                context: "\(path): \(error)")
        }
        let late = eventLoop.scheduleTask(in: .milliseconds(timeout.milliseconds)) {
            answer.fail(Problem(.timeout, "The edge did not answer in time."))
        }
        defer {
            late.cancel()
            channel.close(promise: nil)
        }
        channel.writeAndFlush(ByteBuffer(bytes: message), promise: nil)
        return try ControlMessage.decodeResponse(try await answer.futureResult.get())
    }
}

/// Collects the line that comes back.
private final class ControlReply: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answer: EventLoopPromise<[UInt8]>
    private var collector = LineCollector()

    init(_ answer: EventLoopPromise<[UInt8]>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch collector.add(unwrapInboundIn(data).readableBytesView) {
        case .more: break
        case .tooLarge: answer.fail(Problem(.unavailable, "The edge gave an answer that is too large."))
        case .line(let line): answer.succeed(line)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(Problem(.unavailable, "The edge went away before it answered."))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(Problem(.unavailable, "The edge could not be asked.", context: "\(error)"))
        context.close(promise: nil)
    }
}
