import AgentProtocol
import Glibc
import Logging
import Model
import NIOCore
import NIOPosix

/// The Unix socket by which the agent speaks to the edge. Only the user the edge runs as may open it.
struct EdgeControlServer {
    private let channel: any Channel
    private let threads: NIOThreadPool
    private let path: String

    /// - Parameter replacing: the process whose socket this was has let go of it.
    /// - Throws: `conflict` when another edge answers there, `storage_failed` when the socket cannot be made.
    static func start(
        path: String, replacing: Bool, core: EdgeCore, eventLoop: any EventLoop, logger: Logger
    ) async throws -> EdgeControlServer {
        let descriptor = try bound(path, replacing: replacing)
        // One thread: tables are applied one after the other, and no event loop waits for the disk.
        let threads = NIOThreadPool(numberOfThreads: 1)
        threads.start()
        let channel = try await ServerBootstrap(group: eventLoop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ControlSession(core: core, threads: threads, logger: logger))
                }
            }
            .withBoundSocket(descriptor).get()
        return EdgeControlServer(channel: channel, threads: threads, path: path)
    }

    /// - Parameter keepsPath: the path is another process's by now.
    func stop(keepsPath: Bool) async {
        // Closing fails only when it is closed already, and the pool only when it was stopped before.
        try? await channel.close()
        try? await threads.shutdownGracefully()
        if !keepsPath { unlink(path) }
    }

    /// Binds beside the path and renames: no moment at which others may open it, and a stale socket is replaced.
    private static func bound(_ path: String, replacing: Bool) throws(Problem) -> Int32 {
        if !replacing, isAnswered(path) {
            throw Problem(
                .conflict, "Another edge is running with the control socket \(path).", hint: "Stop it first.")
        }
        let temporary = path + ".new"
        unlink(temporary)
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw failure(path, errno) }
        do {
            let address = try SocketAddress(unixDomainSocketPath: temporary)
            let status = address.withSockAddr { pointer, size in bind(descriptor, pointer, socklen_t(size)) }
            guard status == 0, chmod(temporary, 0o600) == 0, listen(descriptor, 64) == 0,
                rename(temporary, path) == 0
            else { throw failure(path, errno) }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw (error as? Problem)
                ?? Problem(.invalid, "The control socket's path is too long.", context: "\(error)")
        }
        return descriptor
    }

    private static func isAnswered(_ path: String) -> Bool {
        // A path that is too long for a socket has nobody behind it.
        guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return false }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return address.withSockAddr { pointer, size in connect(descriptor, pointer, socklen_t(size)) } == 0
    }

    private static func failure(_ path: String, _ code: Int32) -> Problem {
        Problem(
            .storage, "The edge cannot make its control socket.",
            context: "\(path): \(String(cString: strerror(code)))")
    }
}

/// One question of the agent.
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
private final class ControlSession: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let core: EdgeCore
    private let threads: NIOThreadPool
    private let logger: Logger
    private var collector = LineCollector()
    private var isAsked = false
    private var timeout: Scheduled<Void>?

    init(core: EdgeCore, threads: NIOThreadPool, logger: Logger) {
        self.core = core
        self.threads = threads
        self.logger = logger
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        timeout = context.eventLoop.scheduleTask(in: .seconds(30)) { channel.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) { timeout?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAsked else { return }
        switch collector.add(unwrapInboundIn(data).readableBytesView) {
        case .more: break
        case .tooLarge:
            isAsked = true
            reply(context.channel, .failure(Problem(.tooLarge, "The table is larger than the edge takes.")))
        case .line(let line):
            isAsked = true
            answer(line, context.channel)
        }
    }

    private func answer(_ line: [UInt8], _ channel: any Channel) {
        // What cannot be read is answered below.
        if case .wake(let serial, let milliseconds)? = try? ControlMessage.decodeRequest(line) {
            let limit = TimeAmount.milliseconds(Int64(milliseconds))
            return core.waitForWake(after: serial, atMost: limit, on: channel.eventLoop)
                .whenSuccess { self.compute(line, channel) }
        }
        compute(line, channel)
    }

    private func compute(_ line: [UInt8], _ channel: any Channel) {
        let core = core
        // What cannot be read is answered below.
        if case .handOver(let generation)? = try? ControlMessage.decodeRequest(line) {
            return handOver(to: generation, channel)
        }
        threads.runIfActive(eventLoop: channel.eventLoop) {
            Self.result(line, core)
        }.whenComplete { outcome in
            switch outcome {
            case .success(let result): self.reply(channel, result)
            case .failure(let error):
                self.reply(channel, .failure(Problem(.unavailable, "The edge is stopping.", context: "\(error)")))
            }
        }
    }

    /// Takes the connection away from its event loop, since descriptors are passed by calls that it does not know.
    private func handOver(to generation: Int, _ channel: any Channel) {
        let core = core
        let logger = logger
        do {
            let copy = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self
            ) { fcntl($0, F_DUPFD_CLOEXEC, 0) }
            channel.close(promise: nil)
            guard let copy, copy >= 0 else {
                return logger.warning("No file descriptor is left to hand the sockets over with")
            }
            threads.submit { state in
                guard case .active = state else { return _ = close(copy) }
                Handover.offer(over: copy, to: generation, core, logger)
            }
        } catch {
            channel.close(promise: nil)
        }
    }

    private static func result(_ line: [UInt8], _ core: EdgeCore) -> Result<JSONValue, Problem> {
        do throws(Problem) {
            switch try ControlMessage.decodeRequest(line) {
            case .apply(let table): try core.apply(table)
            case .metrics: return .success(.string(core.metrics()))
            case .status, .wake, .handOver: break
            }
            return .success(try encoded(core.status()))
        } catch {
            return .failure(error)
        }
    }

    private static func encoded(_ status: EdgeStatus) throws(Problem) -> JSONValue {
        do {
            return try WireCoding.encode(status)
        } catch {
            throw Problem(wrapping: error, doing: "Answering the agent")
        }
    }

    private func reply(_ channel: any Channel, _ result: Result<JSONValue, Problem>) {
        channel.writeAndFlush(ByteBuffer(bytes: ControlMessage.encode(result))).whenComplete { _ in
            channel.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
