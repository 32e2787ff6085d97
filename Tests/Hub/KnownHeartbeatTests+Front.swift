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

    @Test func `are gathered for known servers only`() async throws {
        let store = try SQLiteStore(inMemory: Catalog.kinds, clock: LiveClock(), random: LiveRandom())
        let hub = HubFixture.hub(store, Catalog.kinds, LiveClock())
        for isKnown in [false, true] {
            let agent = SigningAgent()
            try await agent.join(store, name: "known-\(isKnown)")
            if isKnown { _ = try await hub.nodeKey(agent.nodeId) }
            let front = try await FrontFixture(hub)
            let begun = String(try agent.request(try body(1)).dropLast(10))
            try await front.channel.writeInbound(ByteBuffer(string: begun))
            #expect(front.passed.byteCount == (isKnown ? 0 : begun.utf8.count))
        }
        try await store.close()
    }

    @Test func `that wait for their answer get it before the server stops`() async throws {
        let folder = TemporaryFolder()
        let store = try SQLiteStore(
            path: "\(folder.path)/hub.sqlite", kinds: Catalog.kinds, clock: LiveClock(), random: LiveRandom())
        let hub = HubFixture.hub(store, Catalog.kinds, LiveClock())
        let agent = SigningAgent()
        try await agent.join(store)
        _ = try await hub.nodeKey(agent.nodeId)
        let first = try body(1)
        let beat = try WireCoding.decode(Heartbeat.self, from: try JSONParser.parse(first))
        try await hub.heartbeat(beat, HeartbeatParts(first), nodeId: agent.nodeId)
        let front = try await FrontFixture(hub)
        let (begun, hasBegun) = AsyncStream.makeStream(of: Void.self)
        let held = DispatchSemaphore(value: 0)
        let holding = Task {
            try await store.write { _ in
                hasBegun.yield()
                held.wait()
            }
        }
        _ = await begun.first { true }
        let (second, third) = (try agent.request(try body(2)), try agent.request(try body(3)))
        try await front.channel.writeInbound(ByteBuffer(string: second + third))
        try await front.stop()
        let early = front.passed
        held.signal()
        try await holding.value
        try await until { front.passed.hasStopped }
        #expect(early.byteCount == 0 && !early.hasStopped)
        var answer = ""
        if case .byteBuffer(let bytes) = try await front.channel.readOutbound(as: IOData.self) {
            answer = String(buffer: bytes)
        }
        #expect(answer.hasPrefix("HTTP/1.1 204 "), "\(answer)")
        // The ordinary way knows what else is to be answered.
        #expect(front.passed.byteCount == third.utf8.count)
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

    /// As a server does that stops while it knows of no request.
    func stop() async throws {
        let channel = channel
        try await channel.testingEventLoop.executeInContext {
            channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            channel.close(promise: nil)
        }
    }
}

extension SigningAgent {
    /// A heartbeat as it is sent.
    fileprivate func request(_ body: [UInt8]) throws -> String {
        let signature = try RequestSignature.sign(
            method: "POST", path: HeartbeatHead.path, body: body, nodeId: nodeId, time: LiveClock().now(),
            nonce: LiveRandom().hex(16), key: key)
        let fields = signature.headers.map { "\($0.name): \($0.value)\r\n" }.joined()
        return "POST \(HeartbeatHead.path) HTTP/1.1\r\nHost: hub\r\nContent-Length: \(body.count)\r\n\(fields)\r\n"
            + String(decoding: body, as: UTF8.self)
    }
}
