import AgentProtocol
import Catalog
import Dispatch
import Host
import HubStore
import LinuxHost
import Logging
import Model
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

@testable import HubAPI
@testable import HubCore

/// What stands in front of the HTTP server: which bytes it passes on, and when.
extension KnownHeartbeatTests {
    @Test(arguments: [
        ("CONNECT a:1 HTTP/1.1\r\nHost: hub\r\n", ""),
        ("POST / HTTP/1.1\r\nHost: hub\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n", "12345"),
        ("POST / HTTP/1.0\r\nContent-Length: 5\r\n", "12345"),
    ])
    func `stand in front of a server that gets nothing behind its last request`(
        head: String, body: String
    ) async throws {
        let store = try SQLiteStore(inMemory: Catalog.kinds, clock: LiveClock(), random: LiveRandom())
        let front = try await FrontFixture(HubFixture.hub(store, Catalog.kinds, LiveClock()))
        for part in [head + "\r\n", String(body.prefix(2)), String(body.dropFirst(2))] where !part.isEmpty {
            try await front.channel.writeInbound(ByteBuffer(string: part))
        }
        let more = ByteBuffer(repeating: UInt8(ascii: "x"), count: 65_536)
        for _ in 0..<100 { try await front.channel.writeInbound(more) }
        #expect(front.passed.byteCount == head.utf8.count + 2 + body.utf8.count)
        try await store.close()
    }
}

/// What stands in front of the hub's HTTP server, on a channel without a socket.
private struct FrontFixture {
    /// What was passed on to the server.
    struct Passed: Sendable {
        var byteCount = 0
        var hasStopped = false
    }

    private final class Recorder: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let passed = Mutex(Passed())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let count = unwrapInboundIn(data).readableBytes
            passed.withLock { $0.byteCount += count }
            context.fireChannelRead(data)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event is ChannelShouldQuiesceEvent { passed.withLock { $0.hasStopped = true } }
        }
    }

    let channel = NIOAsyncTestingChannel()
    private let recorder = Recorder()

    init(_ hub: Hub) async throws {
        let api = HubAPI(hub: hub, logger: Logger(label: "test"))
        let (channel, recorder) = (self.channel, self.recorder)
        try await channel.testingEventLoop.executeInContext {
            let (requests, timeouts) = (PassedRequests(), RequestTimeouts(.init()))
            try channel.pipeline.syncOperations.addHandlers([
                HeartbeatLane(api, requests, timeouts), recorder, ByteToMessageHandler(HTTPRequestDecoder()),
                requests, timeouts,
            ])
        }
    }

    var passed: Passed { recorder.passed.withLock { $0 } }
}
