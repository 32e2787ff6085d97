import CRoost
import Host
public import Logging
public import Model
import NIOCore
import NIOPosix
import NameResponder

/// Roost's data plane: public proxy, internal proxy, DNS responder and control socket in one process.
///
/// It serves from the table that it was given last, also when the agent that gave it is gone.
public struct EdgeServer: Sendable {
    private let listeners: EdgeListeners
    private let limits: EdgeLimits
    private let names: NameLookup
    private let logger: Logger

    public init(listeners: EdgeListeners, logger: Logger) {
        self.init(listeners: listeners, limits: EdgeLimits(), logger: logger)
    }

    public init(listeners: EdgeListeners, limits: EdgeLimits, logger: Logger) {
        self.init(listeners: listeners, limits: limits, names: NameLookup(), logger: logger)
    }

    init(listeners: EdgeListeners, limits: EdgeLimits, names: NameLookup, logger: Logger) {
        self.names = names
        self.listeners = listeners
        self.limits = limits
        self.logger = logger
    }

    /// Serves until the task is cancelled; then finishes what is under way for up to ``EdgeLimits/drainTimeout``.
    /// - Throws: `conflict` when an address is in use, `invalid` or `forbidden` when one cannot be bound.
    public func run() async throws {
        // For names and for what the agent says; requests have loops of their own.
        let services = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var loops: [SocketLoop] = []
        let result: Result<Void, any Error>
        do {
            for index in 0..<System.coreCount { loops.append(try SocketLoop(name: "edge-\(index)")) }
            try await run(on: loops, services: services.next())
            result = .success(())
        } catch {
            result = .failure(error)
        }
        for loop in loops { await loop.stop() }
        try await services.shutdownGracefully()
        try result.get()
    }

    private func run(on eventLoops: [SocketLoop], services: any EventLoop) async throws {
        let writer = AccessLogWriter(folder: listeners.logFolder, logger: logger)
        let (former, sockets) = try await openSockets(loopCount: eventLoops.count, writer)
        let registry = StateRegistry(names: names)
        let initial = startTable(registry)
        let connectionsMax =
            limits.connectionsMax.map { $0 / eventLoops.count }
            ?? max(64, DescriptorLimit.raised().connectionsMax / eventLoops.count)
        let loops = eventLoops.map {
            EdgeLoop(
                eventLoop: $0, table: initial, limits: limits, log: AccessLogBuffer(writer: writer),
                connectionsMax: connectionsMax,
                challenges: listeners.challengeFolder.map { ChallengeFolder(path: $0) })
        }
        let zone = try makeZone()
        let certificates = listeners.tlsAddress == nil ? nil : try makeCertificateStore()
        let core = EdgeCore(
            file: TableFile(path: listeners.tablePath), loops: loops, registry: registry, zone: zone,
            certificates: certificates, logger: logger, log: writer, initial: initial,
            generation: listeners.generation, sockets: sockets)
        defer { core.closeSockets() }
        await takeOver(from: former)
        core.start()
        for loop in loops { loop.start() }
        let acceptors = try await listen(sockets, loops, certificates)
        let responder = try await startResponder(sockets, zone, services)
        let control = try await EdgeControlServer.start(
            path: listeners.controlSocket, replacing: former != nil, core: core, eventLoop: services,
            logger: logger)
        // Most of the program is not the edge, and most of what was needed so far was needed to start.
        croost_forget_code()
        logger.info("The edge is serving", metadata: ["address": "\(listeners.publicAddress)"])
        // Ends when the task is cancelled, too.
        for await _ in core.serving {}
        core.closeSockets()
        for (acceptor, loop) in acceptors { try await loop.eventLoop.submit { acceptor.stop() }.get() }
        await responder?.stop()
        core.stoppedAccepting()
        await drain(loops, isHandedOver: core.hasHandedOver)
        await control.stop(keepsPath: core.hasHandedOver)
        await core.stop()
        for loop in loops { try await loop.eventLoop.submit { loop.stop() }.get() }
        writer.stop()
        // A supervisor would start anew what ends by itself.
        await cancelled()
    }

    private func takeOver(from former: Handover?) async {
        guard let former else { return }
        do {
            try await NativeThread.run("handover") { try former.commit() }
        } catch {
            logger.warning("The former edge process is gone already", metadata: ["problem": "\(error)"])
        }
    }

    /// Accepts from every socket: none of a group may be left out, or the connections that the kernel gives it wait for
    /// ever.
    private func listen(
        _ sockets: ListenerSet, _ loops: [EdgeLoop], _ certificates: CertificateStore?
    ) async throws -> [(Acceptor, EdgeLoop)] {
        var acceptors: [(Acceptor, EdgeLoop)] = []
        for role in [ListenerRole.publicProxy, .publicTLS, .internalProxy] {
            for (index, descriptor) in try sockets.duplicates(role).enumerated() {
                let loop = loops[index % loops.count]
                let acceptor = acceptor(
                    descriptor, loop, isInternal: role == .internalProxy,
                    certificates: role == .publicTLS ? certificates : nil)
                try await loop.eventLoop.submit { try acceptor.start() }.get()
                acceptors.append((acceptor, loop))
            }
        }
        return acceptors
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

    private func acceptor(
        _ descriptor: Int32, _ loop: EdgeLoop, isInternal: Bool, certificates: CertificateStore?
    ) -> Acceptor {
        Acceptor(descriptor, loop) { socket, remote in
            do {
                guard let certificates else {
                    return try ClientConnection(loop: loop, isInternal: isInternal, remote: remote).open(socket)
                }
                try SocketChannel.open(
                    socket, on: loop.eventLoop, remoteAddress: remote, allowsHalfClosure: true
                ) { channel in try TLSHandshake.begin(channel, loop: loop, certificates: certificates) }
            } catch {
                // One handshake too many, or more sockets than the system watches: it was closed, and said nothing yet.
            }
        }
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

    private func startResponder(
        _ sockets: ListenerSet, _ zone: NameZone?, _ eventLoop: any EventLoop
    ) async throws -> NameResponder? {
        let resolvers = try (listeners.dnsResolvers ?? []).map { try ListeningSocket.parse($0) }
        if let own = try listeners.dnsAddress.map({ try ListeningSocket.parse($0) }), resolvers.contains(own) {
            throw Problem(.invalid, "The DNS responder cannot ask itself.")
        }
        guard let zone, let datagrams = try sockets.duplicates(.nameDatagrams).first,
            let streams = try sockets.duplicates(.nameStreams).first
        else { return nil }
        return try await NameResponder.start(
            datagramSocket: datagrams, streamSocket: streams, zone: zone, resolvers: resolvers,
            eventLoop: eventLoop)
    }

    /// An edge that is just starting has its ports before it answers; it is asked again for a moment.
    private func openSockets(
        loopCount: Int, _ writer: AccessLogWriter
    ) async throws -> (former: Handover?, sockets: ListenerSet) {
        let clock = ContinuousClock()
        let end = clock.now + limits.startPatience
        var isTold = false
        while true {
            let former = try await NativeThread.run("handover") { [listeners] in
                try Handover.request(controlSocket: listeners.controlSocket, generation: listeners.generation ?? 0)
            }
            do {
                let sockets = try ListenerSet(
                    wanted: listeners.wanted, inherited: former?.sockets ?? [], loopCount: loopCount)
                try writer.start()
                return (former, sockets)
            } catch  where error.code == .conflict && former == nil && clock.now < end {
                if !isTold { logger.notice("An address is in use still", metadata: ["problem": "\(error)"]) }
                isTold = true
                try await Task.sleep(for: .milliseconds(20))
            } catch {
                former?.abandonConnection()
                throw error
            }
        }
    }

    private func cancelled() async {
        while !Task.isCancelled {
            // The only error is the cancellation that is waited for.
            try? await Task.sleep(for: .seconds(3600))
        }
    }

    /// Waits until no connection is left. Runs detached, since the task that serves is cancelled by now.
    private func drain(_ loops: [EdgeLoop], isHandedOver: Bool) async {
        let timeout = isHandedOver ? limits.handoverDrainTimeout : limits.drainTimeout
        await Task.detached {
            let clock = ContinuousClock()
            let end = clock.now + timeout
            do {
                for loop in loops { try await loop.eventLoop.submit { loop.drain(isHandedOver: isHandedOver) }.get() }
                while clock.now < end {
                    var count = 0
                    for loop in loops { count += try await loop.eventLoop.submit { loop.connectionCount }.get() }
                    if count == 0 { return }
                    try await Task.sleep(for: .milliseconds(20))
                }
            } catch {
                // Nothing here fails: the loops go on until all is over, and the task is never cancelled.
            }
        }.value
    }
}
