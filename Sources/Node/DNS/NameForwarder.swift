import NIOCore
import NIOPosix
import Synchronization

/// Asks other resolvers for what the zone does not hold, one after the other, and gives their answers on as they are.
/// Each question has a socket and a number of its own, so that a stranger cannot guess where to send a false answer.
final class NameForwarder: Sendable {
    static let underWayMax = 512
    static let timeout = TimeAmount.seconds(2)
    static let messageBytesMax = 65_535
    private static let serverFailure: UInt8 = 2

    private let resolvers: [SocketAddress]
    private let eventLoop: any EventLoop
    private let underWay = Mutex(0)

    init(resolvers: [SocketAddress], eventLoop: any EventLoop) {
        self.resolvers = resolvers
        self.eventLoop = eventLoop
    }

    /// The answer; SERVFAIL when no resolver gives one.
    func ask(_ packet: [UInt8], _ query: NameQuery, isStream: Bool) -> EventLoopFuture<[UInt8]> {
        let failure = NameAnswer.header(id: query.id, flags: query.flags, rcode: Self.serverFailure)
        let isAdmitted = underWay.withLock { count -> Bool in
            guard count < Self.underWayMax else { return false }
            count += 1
            return true
        }
        guard isAdmitted else { return eventLoop.makeSucceededFuture(failure) }
        return ask(packet, query, isStream: isStream, from: 0).recover { _ in failure }.always { _ in
            self.underWay.withLock { $0 -= 1 }
        }
    }

    private func ask(
        _ packet: [UInt8], _ query: NameQuery, isStream: Bool, from index: Int
    ) -> EventLoopFuture<[UInt8]> {
        let exchange = NameExchange(packet, query, isStream: isStream, promise: eventLoop.makePromise())
        exchange.start(resolvers[index], eventLoop)
        guard index + 1 < resolvers.count else { return exchange.promise.futureResult }
        return exchange.promise.futureResult.flatMapError { _ in
            self.ask(packet, query, isStream: isStream, from: index + 1)
        }
    }
}

/// One question to one resolver.
///
/// `@unchecked Sendable`: confined to one event loop.
private final class NameExchange: @unchecked Sendable {
    struct Failure: Error {}

    let promise: EventLoopPromise<[UInt8]>
    private let original: NameQuery
    private var packet: [UInt8]
    private let isStream: Bool
    private var channel: (any Channel)?
    private var timeout: Scheduled<Void>?

    init(_ packet: [UInt8], _ query: NameQuery, isStream: Bool, promise: EventLoopPromise<[UInt8]>) {
        self.packet = packet
        original = query
        self.isStream = isStream
        self.promise = promise
        let id = UInt16.random(in: .min ... .max)
        self.packet[0] = UInt8(id >> 8)
        self.packet[1] = UInt8(id & 0xFF)
    }

    func start(_ resolver: SocketAddress, _ eventLoop: any EventLoop) {
        timeout = eventLoop.scheduleTask(in: NameForwarder.timeout) { self.end(nil) }
        let opening: EventLoopFuture<any Channel>
        if isStream {
            opening = ClientBootstrap(group: eventLoop).connectTimeout(NameForwarder.timeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(StreamAnswer(self))
                    }
                }.connect(to: resolver)
        } else {
            opening = DatagramBootstrap(group: eventLoop)
                .channelOption(
                    .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: NameForwarder.messageBytesMax)
                )
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramAnswer(self))
                    }
                }.connect(to: resolver)
        }
        opening.whenComplete { result in
            guard case .success(let channel) = result else { return self.end(nil) }
            guard self.timeout != nil else { return channel.close(promise: nil) }
            self.channel = channel
            if self.isStream {
                var message = ByteBuffer(integer: UInt16(self.packet.count))
                message.writeBytes(self.packet)
                channel.writeAndFlush(message, promise: nil)
            } else {
                let message = AddressedEnvelope(remoteAddress: resolver, data: ByteBuffer(bytes: self.packet))
                channel.writeAndFlush(message, promise: nil)
            }
        }
    }

    /// Takes a message; one that is no answer to this question is ignored.
    func take(_ message: [UInt8]) {
        guard message.count >= 12 + original.question.count, message[0] == packet[0], message[1] == packet[1],
            message[2] & 0x80 != 0,
            message[12..<12 + original.question.count].elementsEqual(
                original.question, by: { Self.lower($0) == Self.lower($1) })
        else { return }
        var answer = message
        answer[0] = UInt8(original.id >> 8)
        answer[1] = UInt8(original.id & 0xFF)
        let fits = isStream || answer.count <= original.datagramBytesMax
        end(fits ? answer : original.truncated(answer))
    }

    private static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    func end(_ answer: [UInt8]?) {
        guard let timeout else { return }
        timeout.cancel()
        self.timeout = nil
        channel?.close(promise: nil)
        if let answer { promise.succeed(answer) } else { promise.fail(Failure()) }
    }
}

private final class DatagramAnswer: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let exchange: NameExchange

    init(_ exchange: NameExchange) { self.exchange = exchange }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        exchange.take(Array(unwrapInboundIn(data).data.readableBytesView))
    }

    /// A resolver that is not there.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { exchange.end(nil) }
}

private final class StreamAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let exchange: NameExchange
    private var pending = ByteBuffer()

    init(_ exchange: NameExchange) { self.exchange = exchange }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        pending.writeBuffer(&buffer)
        guard let length = pending.getInteger(at: pending.readerIndex, as: UInt16.self),
            let message = pending.getBytes(at: pending.readerIndex + 2, length: Int(length))
        else { return }
        exchange.take(message)
        exchange.end(nil)
    }

    func channelInactive(context: ChannelHandlerContext) { exchange.end(nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { exchange.end(nil) }
}
