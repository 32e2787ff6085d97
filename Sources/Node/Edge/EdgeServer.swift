public import Logging
public import Model
import NIOCore
import NIOPosix
import NameResponder

/// Roost's data plane: public proxy, internal proxy, DNS responder and control socket in one process.
///
/// It serves from the table that it was given last, also when the agent that gave it is gone.
public struct EdgeServer: Sendable {
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 64 * 1024, high: 256 * 1024)

    private let listeners: EdgeListeners
    private let limits: EdgeLimits
    private let logger: Logger

    public init(listeners: EdgeListeners, logger: Logger) {
        self.init(listeners: listeners, limits: EdgeLimits(), logger: logger)
    }

    public init(listeners: EdgeListeners, limits: EdgeLimits, logger: Logger) {
        self.listeners = listeners
        self.limits = limits
        self.logger = logger
    }

    /// Serves until the task is cancelled; then finishes what is under way for up to ``EdgeLimits/drainTimeout``.
    /// - Throws: `conflict` when an address is in use, `invalid` or `forbidden` when one cannot be bound.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let writer = AccessLogWriter(folder: listeners.logFolder, logger: logger)
        do {
            try await run(on: group, writer: writer)
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    private func run(on group: MultiThreadedEventLoopGroup, writer: AccessLogWriter) async throws {
        let eventLoops = Array(group.makeIterator())
        let (publicSockets, internalSockets) = try ListeningSocket.openBoth(
            publicAddress: listeners.publicAddress, internalAddress: listeners.internalAddress, count: eventLoops.count)
        let tlsSockets = try listeners.tlsAddress.map { address throws(Problem) in
            try ListeningSocket.open(address, count: eventLoops.count, loopbackOnly: false)
        }
        let registry = StateRegistry()
        let initial = startTable(registry)
        writer.start()
        let loops = eventLoops.map {
            EdgeLoop(
                eventLoop: $0, table: initial, limits: limits, log: AccessLogBuffer(writer: writer),
                challenges: listeners.challengeFolder.map { ChallengeFolder(path: $0) })
        }
        let zone = try makeZone()
        let certificates = try tlsSockets.map { _ throws(Problem) in try makeCertificateStore() }
        let core = EdgeCore(
            file: TableFile(path: listeners.tablePath), loops: loops, registry: registry, zone: zone,
            certificates: certificates, logger: logger, log: writer, initial: initial)
        core.start()
        var channels: [any Channel] = []
        for (index, loop) in loops.enumerated() {
            loop.start()
            channels.append(try await listen(publicSockets[index], loop, isInternal: false))
            if let tlsSockets {
                channels.append(
                    try await listen(tlsSockets[index], loop, isInternal: false, certificates: certificates))
            }
            if let internalSockets {
                channels.append(try await listen(internalSockets[index], loop, isInternal: true))
            }
        }
        var responder: NameResponder?
        if let zone, let address = listeners.dnsAddress {
            responder = try await startResponder(address, zone, loops[0])
        }
        let control = try await EdgeControlServer.start(
            path: listeners.controlSocket, core: core, eventLoop: eventLoops[0])
        logger.info("The edge is serving", metadata: ["address": "\(listeners.publicAddress)"])
        await cancelled()
        for channel in channels {
            // Closing fails only when it is closed already.
            try? await channel.close()
        }
        await drain(loops)
        await control.stop()
        await core.stop()
        await responder?.stop()
        for loop in loops { try await loop.eventLoop.submit { loop.stop() }.get() }
        writer.stop()
    }

    /// The last table, or an empty one: a table that cannot be read must not keep the edge from starting, since only a
    /// running edge can be given a better one.
    private func startTable(_ registry: StateRegistry) -> RoutingTable {
        do {
            guard let table = try TableFile(path: listeners.tablePath).read() else { return .empty }
            return try RoutingTable(table, registry: registry)
        } catch {
            logger.error(
                "The last table cannot be used; the edge starts with none",
                metadata: [
                    "path": "\(listeners.tablePath)", "problem": "\(error)", "context": "\(error.context ?? "")",
                ])
            return .empty
        }
    }

    /// Beside the table, so that a restart shows the same self-signed certificate.
    private func makeCertificateStore() throws(Problem) -> CertificateStore {
        let folder = listeners.tablePath.lastIndex(of: "/").map { String(listeners.tablePath[..<$0]) } ?? "."
        let now = Timestamp(millisecondsSinceEpoch: AccessLogBuffer.wallMilliseconds())
        return CertificateStore(fallback: try FallbackCertificate.load(folder: folder, now: now))
    }

    private func listen(
        _ descriptor: Int32, _ loop: EdgeLoop, isInternal: Bool, certificates: CertificateStore? = nil
    ) async throws -> any Channel {
        try await ServerBootstrap(group: loop.eventLoop, childGroup: loop.eventLoop)
            .serverChannelOption(.backlog, value: ListeningSocket.backlog)
            .serverChannelOption(.maxMessagesPerRead, value: 64)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause())
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: Self.waterMark)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let certificates {
                        return try TLSHandshake.begin(channel, loop: loop, certificates: certificates)
                    }
                    let client = ClientConnection(loop: loop, isInternal: isInternal, remote: channel.remoteAddress)
                    try channel.pipeline.syncOperations.addHandler(client)
                }
            }
            .withBoundSocket(descriptor).get()
    }

    private func makeZone() throws -> NameZone? {
        guard let dnsAddress = listeners.dnsAddress else { return nil }
        func bytes(_ address: String) throws(Problem) -> [UInt8] {
            let parsed = try ListeningSocket.parse(address)
            let parts = (parsed.ipAddress ?? "").split(separator: ".").compactMap { UInt8($0) }
            guard parts.count == 4, parts[0] == 127 else {
                throw Problem(.invalid, "\(address) must be an IPv4 loopback address.")
            }
            return parts
        }
        let responder = try bytes(dnsAddress)
        return NameZone(
            address: try listeners.internalAddress.map(bytes) ?? responder, responderAddress: responder)
    }

    private func startResponder(_ address: String, _ zone: NameZone, _ loop: EdgeLoop) async throws -> NameResponder {
        let parsed = try ListeningSocket.parse(address)
        return try await NameResponder.start(
            host: parsed.ipAddress ?? "127.0.0.1", port: parsed.port ?? 53, zone: zone, eventLoop: loop.eventLoop)
    }

    private func cancelled() async {
        while !Task.isCancelled {
            // The only error is the cancellation that is waited for.
            try? await Task.sleep(for: .seconds(3600))
        }
    }

    /// Waits until no connection is left. Runs detached, since the task that serves is cancelled by now.
    private func drain(_ loops: [EdgeLoop]) async {
        let timeout = limits.drainTimeout
        await Task.detached {
            let clock = ContinuousClock()
            let end = clock.now + timeout
            do {
                for loop in loops { try await loop.eventLoop.submit { loop.drain() }.get() }
                while clock.now < end {
                    var count = 0
                    for loop in loops { count += try await loop.eventLoop.submit { loop.connectionCount }.get() }
                    if count == 0 { return }
                    try await Task.sleep(for: .milliseconds(20))
                }
            } catch {
                // Only a group that was shut down refuses work, and then there is nothing to wait for.
            }
        }.value
    }
}

/// Out of file descriptors, the listener would try again at once and for ever: it waits a moment instead.
private final class AcceptPause: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    private var isPaused = false

    func errorCaught(context: ChannelHandlerContext, error: any Error) { isPaused = true }

    func read(context: ChannelHandlerContext) {
        guard isPaused else { return context.read() }
        context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(50)) {
            self.isPaused = false
            context.read()
        }
    }
}
