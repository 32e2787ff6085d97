public import Model
public import NIOCore
import NIOPosix

/// Answers DNS queries for a ``NameZone`` on one address, over UDP and TCP (RFC 1035, RFC 7766).
public struct NameResponder: Sendable {
    private let channels: [any Channel]

    static let streamsMax = 64

    /// Binds both sockets.
    /// - Throws: `conflict` when the address is in use, `invalid` when it cannot be bound.
    public static func start(host: String, port: Int, zone: NameZone, eventLoop: any EventLoop) async throws
        -> NameResponder
    {
        let limiter = StreamLimiter(eventLoop: eventLoop)
        do {
            let address = try SocketAddress(ipAddress: host, port: port)
            // No address reuse: a second responder on the same port would silently take half of the queries.
            let datagrams = try await DatagramBootstrap(group: eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramNames(zone: zone))
                    }
                }
                .bind(to: address).get()
            do {
                let streams = try await ServerBootstrap(group: eventLoop)
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(StreamNames(zone: zone, limiter: limiter))
                        }
                    }
                    .bind(to: address).get()
                return NameResponder(channels: [datagrams, streams])
            } catch {
                try await datagrams.close()
                throw error
            }
        } catch {
            throw problem(error, "\(host):\(port)")
        }
    }

    /// Closes both sockets.
    public func stop() async {
        for channel in channels {
            // Closing fails only when it is closed already.
            try? await channel.close()
        }
    }

    private static func problem(_ error: any Error, _ address: String) -> Problem {
        if let error = error as? IOError, error.errnoCode == 98 {
            return Problem(
                .conflict, "The address \(address) of the DNS responder is in use by another program.",
                hint: "Choose another one.", context: "\(error)")
        }
        return Problem(.invalid, "The DNS responder cannot listen on \(address).", context: "\(error)")
    }
}

private final class DatagramNames: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let zone: NameZone

    init(zone: NameZone) { self.zone = zone }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let answer = zone.answer(Array(envelope.data.readableBytesView), isStream: false) else { return }
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
    private let limiter: StreamLimiter
    private var pending = ByteBuffer()
    private var timeout: Scheduled<Void>?

    init(zone: NameZone, limiter: StreamLimiter) {
        self.zone = zone
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
            guard let answer = zone.answer(packet, isStream: true) else { return context.close(promise: nil) }
            var out = context.channel.allocator.buffer(capacity: answer.count + 2)
            out.writeInteger(UInt16(answer.count))
            out.writeBytes(answer)
            context.write(wrapOutboundOut(out), promise: nil)
            restartTimeout(context)
        }
        pending.discardReadBytes()
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
