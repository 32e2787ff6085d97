import Model
public import NIOCore
import NIOPosix

/// Answers DNS queries for a ``NameZone`` on one address, over UDP and TCP (RFC 1035, RFC 7766).
public struct NameResponder: Sendable {
    private let channels: [any Channel]

    static let streamsMax = 64

    /// Answers over sockets that are bound already, and owns them from here on.
    /// - Parameter resolvers: asked for what is outside the zone; none means that such questions are refused.
    /// - Throws: `invalid` when they are no such sockets.
    public static func start(
        datagramSocket: Int32, streamSocket: Int32, zone: NameZone, resolvers: [SocketAddress],
        eventLoop: any EventLoop
    ) async throws -> NameResponder {
        let forwarder = resolvers.isEmpty ? nil : NameForwarder(resolvers: resolvers, eventLoop: eventLoop)
        let limiter = StreamLimiter(eventLoop: eventLoop)
        do {
            let datagrams = try await DatagramBootstrap(group: eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramNames(zone, forwarder))
                    }
                }
                .withBoundSocket(datagramSocket).get()
            do {
                let streams = try await ServerBootstrap(group: eventLoop)
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(StreamNames(zone, forwarder, limiter))
                        }
                    }
                    .withBoundSocket(streamSocket).get()
                return NameResponder(channels: [datagrams, streams])
            } catch {
                try await datagrams.close()
                throw error
            }
        } catch {
            throw Problem(.invalid, "The DNS responder cannot use its sockets.", context: "\(error)")
        }
    }

    /// Closes both sockets.
    public func stop() async {
        for channel in channels {
            // Closing fails only when it is closed already.
            try? await channel.close()
        }
    }
}

private final class DatagramNames: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let zone: NameZone
    private let forwarder: NameForwarder?

    init(_ zone: NameZone, _ forwarder: NameForwarder?) {
        self.zone = zone
        self.forwarder = forwarder
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let packet = Array(envelope.data.readableBytesView)
        if let forwarder, let query = zone.foreignQuestion(packet) {
            let channel = context.channel
            forwarder.ask(packet, query, isStream: false).whenSuccess { answer in
                let data = ByteBuffer(bytes: answer)
                channel.writeAndFlush(
                    AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: data), promise: nil)
            }
            return
        }
        guard let answer = zone.answer(packet, isStream: false) else { return }
        context.write(
            wrapOutboundOut(AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer))),
            promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    /// An unreachable client must not end the service for the others.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Counts TCP clients. `@unchecked Sendable`: confined to one event loop.
private final class StreamLimiter: @unchecked Sendable {
    let eventLoop: any EventLoop
    var count = 0

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }
}

/// Two bytes of length in front of each message; a client that is idle for ten seconds is let go.
private final class StreamNames: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let messageBytesMax = 4096
    private let zone: NameZone
    private let forwarder: NameForwarder?
    private let limiter: StreamLimiter
    private var pending = ByteBuffer()
    private var timeout: Scheduled<Void>?

    init(_ zone: NameZone, _ forwarder: NameForwarder?, _ limiter: StreamLimiter) {
        self.zone = zone
        self.forwarder = forwarder
        self.limiter = limiter
    }

    func channelActive(context: ChannelHandlerContext) {
        limiter.count += 1
        if limiter.count > NameResponder.streamsMax { return context.close(promise: nil) }
        restartTimeout(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        limiter.count -= 1
        timeout?.cancel()
    }

    private func restartTimeout(_ context: ChannelHandlerContext) {
        timeout?.cancel()
        let channel = context.channel
        timeout = context.eventLoop.scheduleTask(in: .seconds(10)) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        pending.writeBuffer(&buffer)
        while let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self) {
            guard Int(length) <= Self.messageBytesMax else { return context.close(promise: nil) }
            guard pending.readableBytes >= 2 + Int(length) else { return }
            pending.moveReaderIndex(forwardBy: 2)
            let packet = pending.readBytes(length: Int(length)) ?? []
            restartTimeout(context)
            if let forwarder, let query = zone.foreignQuestion(packet) {
                let channel = context.channel
                forwarder.ask(packet, query, isStream: true).whenSuccess { answer in
                    channel.writeAndFlush(Self.framed(answer), promise: nil)
                }
                continue
            }
            guard let answer = zone.answer(packet, isStream: true) else { return context.close(promise: nil) }
            context.write(wrapOutboundOut(Self.framed(answer)), promise: nil)
        }
        pending.discardReadBytes()
    }

    private static func framed(_ answer: [UInt8]) -> ByteBuffer {
        var out = ByteBuffer(integer: UInt16(answer.count))
        out.writeBytes(answer)
        return out
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
