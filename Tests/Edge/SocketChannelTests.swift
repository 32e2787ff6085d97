import NIOCore
import Synchronization
import Testing

@testable import Edge

struct SocketChannelTests {
    /// Writes down what a pipeline is told, in order.
    private final class Recorder: ChannelInboundHandler, @unchecked Sendable {
        typealias InboundIn = ByteBuffer
        private let state = Mutex((events: [String](), bytes: 0))
        var events: [String] { state.withLock { $0.events } }
        var bytes: Int { state.withLock { $0.bytes } }

        private func note(_ event: String) { state.withLock { $0.events.append(event) } }

        func handlerAdded(context: ChannelHandlerContext) { note("added") }
        func handlerRemoved(context: ChannelHandlerContext) { note("removed") }
        func channelRegistered(context: ChannelHandlerContext) { note("registered") }
        func channelUnregistered(context: ChannelHandlerContext) { note("unregistered") }
        func channelActive(context: ChannelHandlerContext) { note("active") }
        func channelInactive(context: ChannelHandlerContext) { note("inactive") }
        func channelReadComplete(context: ChannelHandlerContext) { note("read all") }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { note("error") }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let count = unwrapInboundIn(data).readableBytes
            state.withLock { $0.bytes += count }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if let event = event as? ChannelEvent { note("\(event)") }
        }
    }

    private static func with(
        halfClosure: Bool, _ body: (SocketLoop, SocketChannel, Recorder, SocketPair) async throws -> Void
    ) async throws {
        try await SocketLoopTests.with { loop in
            let pair = try SocketPair(bytesMax: 10_000)
            let recorder = Recorder()
            let channel = try await loop.submit {
                try SocketChannel.open(
                    pair.takeFirst(), on: loop, remoteAddress: nil, allowsHalfClosure: halfClosure
                ) { try $0.pipeline.syncOperations.addHandler(recorder) }
            }.get()
            try await body(loop, channel, recorder, pair)
        }
    }

    private static let beginning = ["added", "registered", "active"]
    private static let end = ["inactive", "unregistered", "removed"]

    @Test func aPipelineIsToldInOrder() async throws {
        try await Self.with(halfClosure: false) { loop, channel, recorder, pair in
            pair.send([1, 2, 3])
            let isRead = try await eventually { recorder.bytes == 3 }
            #expect(isRead)
            pair.endOutput()
            try await channel.closeFuture.get()
            #expect(recorder.events == Self.beginning + ["read all"] + Self.end)
            let isActive = try await loop.submit { channel.isActive }.get()
            #expect(!isActive)
        }
    }

    @Test func aHalfClosedOneWritesOn() async throws {
        try await Self.with(halfClosure: true) { loop, channel, recorder, pair in
            pair.endOutput()
            let isTold = try await eventually { recorder.events.last == "inputClosed" }
            #expect(isTold)
            try await channel.writeAndFlush(ByteBuffer(string: "late"))
            #expect(pair.receive() == Array("late".utf8))
            try await channel.close(mode: .output)
            #expect(pair.receive() == nil)
            try await channel.closeFuture.get()
            #expect(recorder.events == Self.beginning + ["inputClosed", "outputClosed"] + Self.end)
        }
    }

    @Test func writesThatAreCutOffFail() async throws {
        try await Self.with(halfClosure: true) { loop, channel, recorder, pair in
            let (large, waiting, ending) = try await loop.submit {
                let large = channel.writeAndFlush(ByteBuffer(repeating: 7, count: 1_000_000))
                let waiting = try channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0
                return (large, waiting, channel.close(mode: .output))
            }.get()
            #expect(waiting > 900_000 && !channel.isWritable)
            try await channel.close()
            await #expect(throws: ChannelError.self) { try await large.get() }
            await #expect(throws: ChannelError.self) { try await ending.get() }
            await #expect(throws: ChannelError.self) { try await channel.writeAndFlush(ByteBuffer(string: "x")) }
            #expect(recorder.events == Self.beginning + Self.end)
        }
    }

    @Test func handlersThatCannotBeMadeCloseTheSocket() async throws {
        try await SocketLoopTests.with { loop in
            let pair = try SocketPair()
            await #expect(throws: ChannelError.self) {
                try await loop.submit {
                    _ = try SocketChannel.open(pair.takeFirst(), on: loop, remoteAddress: nil) { _ in
                        throw ChannelError.inputClosed
                    }
                }.get()
            }
            #expect(pair.receive() == nil)
        }
    }
}
