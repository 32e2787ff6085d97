import AgentProtocol
import Crypto
import HTTPTypes
import Host
import HubAPI
import HubCore
import HubStore
import Hummingbird
import Logging
import Model
import NIOCore
import ResourceKit
import Testing

/// Callbacks to a real HTTP server.
@Suite(.timeLimit(.minutes(3))) struct CallbackTests {
    /// A server that is called.
    final class Receiver: Sendable {
        struct Message: Sendable {
            var id: String
            var time: String
            var signature: String
            var body: [UInt8]
        }

        let port: Int
        let messages: AsyncStream<Message>
        private let task: Task<Void, any Error>

        init() async throws {
            let (ports, running) = AsyncStream.makeStream(of: Int.self)
            let (received, receive) = AsyncStream.makeStream(of: Message.self)
            let router = Router()
            router.post("hook") { request, _ in
                let body = try await request.body.collect(upTo: 1 << 20)
                func header(_ name: String) -> String { request.headers[HTTPField.Name(name)!] ?? "" }
                receive.yield(
                    Message(
                        id: header(CallbackSignature.idHeader), time: header(CallbackSignature.timeHeader),
                        signature: header(CallbackSignature.signatureHeader), body: Array(body.readableBytesView)))
                return HTTPResponse.Status.ok
            }
            router.post("moved") { _, _ in
                Response(status: .temporaryRedirect, headers: [.location: "/hook"])
            }
            router.post("closed") { _, _ in HTTPResponse.Status.serviceUnavailable }
            var logger = Logger(label: "receiver")
            logger.logLevel = .critical
            let server = Application(
                router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
                onServerRunning: { running.yield($0.localAddress?.port ?? 0) }, logger: logger)
            task = Task { try await server.run() }
            var iterator = ports.makeAsyncIterator()
            port = try #require(await iterator.next())
            messages = received
        }

        func stop() { task.cancel() }
    }

    private func settle(_ fixture: HubFixture, _ id: String, _ status: ResourceStatus) async throws {
        try await fixture.store.write { transaction in
            guard var record = try transaction.get("book", id) else { return }
            record.status = status
            record.statusMessage = status == .failed ? "no room" : nil
            _ = try transaction.put(record)
        }
    }

    @Test func tellsOnceWhatCameOfAChange() async throws {
        let fixture = try HubFixture()
        let shelf = try await fixture.make("shelf", ["name": "s"])
        let publicKey = try #require(Base64.decode(try await fixture.hub.ensureSigningKey()))
        let receiver = try await Receiver()
        defer { receiver.stop() }
        let url = "http://127.0.0.1:\(receiver.port)/hook"
        let id = try await fixture.make("book", below: shelf, ["title": "a", "callback_url": .string(url)])
        try await fixture.hub.deliverCallbacks()
        try await settle(fixture, id, .failed)
        try await fixture.hub.deliverCallbacks()
        var messages = receiver.messages.makeAsyncIterator()
        let message = try #require(await messages.next())
        let body = try JSONParser.parse(message.body)
        #expect(body["event"] == "book.create" && body["status"] == "failed" && body["status_message"] == "no room")
        #expect(body["resource_id"] == .string(id) && body["resource"]?["title"] == "a")
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
        let signed = CallbackSignature.message(id: message.id, timeMs: message.time, body: message.body)
        #expect(key.isValidSignature(try #require(Base64.decode(message.signature)), for: signed))
        #expect(try await fixture.store.read { try $0.cells("callback") }.isEmpty)
        // A deletion takes a body for this alone.
        let book = try fixture.kind("book")
        let unknown = try await problem {
            _ = try await fixture.hub.delete(book, id: id, body: ["callback": .string(url)], as: .local)
        }
        #expect(unknown.fields["callback"] != nil)
        _ = try await fixture.hub.delete(book, id: id, body: ["callback_url": .string(url)], as: .local)
        try await fixture.store.write { transaction in
            if try transaction.get("book", id) != nil { try transaction.remove("book", id) }
        }
        try await fixture.hub.deliverCallbacks()
        #expect(try JSONParser.parse(try #require(await messages.next()).body)["status"] == "deleted")
    }

    @Test func triesAgainLaterAndGivesUp() async throws {
        let fixture = try HubFixture()
        let shelf = try await fixture.make("shelf", ["name": "s"])
        _ = try await fixture.hub.ensureSigningKey()
        let receiver = try await Receiver()
        defer { receiver.stop() }
        let id = try await fixture.make(
            "book", below: shelf, ["title": "a", "callback_url": .string("http://127.0.0.1:\(receiver.port)/closed")])
        try await settle(fixture, id, .active)
        var attempts = 0
        for _ in 0..<60 {
            let before = try await fixture.store.read { try $0.cells("callback") }
            guard !before.isEmpty else { break }
            try await fixture.hub.deliverCallbacks()
            // Not before its time.
            let once = try await fixture.store.read { try $0.cells("callback") }
            try await fixture.hub.deliverCallbacks()
            let twice = try await fixture.store.read { try $0.cells("callback") }
            #expect(once.map(\.value) == twice.map(\.value))
            attempts += 1
            fixture.clock.move(.seconds(2 * 3600))
        }
        #expect(attempts == 15)
    }

    @Test func refusesWhatIsNoAddress() async throws {
        let fixture = try HubFixture()
        let shelf = try await fixture.make("shelf", ["name": "s"])
        for url in [
            "ftp://x", "http://", "http://user@x/", "javascript:1", "http://a b/", "http://169.254.169.254/", "//x", "",
            "http://[fe80::1]/",
        ] {
            let refused = try await problem {
                _ = try await fixture.make("book", below: shelf, ["title": "a", "callback_url": .string(url)])
            }
            #expect(refused.fields["callback_url"] != nil, "\(url)")
        }
        #expect(
            try await problem { _ = try await fixture.make("book", below: shelf, ["title": "a", "callback_url": 1]) }
                .code == .invalid)
        // A kind without work behind it has nobody to call.
        #expect(
            try await problem { _ = try await fixture.make("shelf", ["name": "b", "callback_url": "http://x/"]) }
                .fields[
                    "callback_url"] != nil)
    }

    /// However they are written: the sender looks at what they mean.
    @Test(arguments: [
        "http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/", "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://0/",
        "http://[::]/", "http://[ff02::1]/", "http://224.0.0.1/", "http://nobody.invalid/",
    ]) func nothingGoesToTheMachineItself(_ url: String) async throws {
        let refused = try await problem {
            _ = try await HTTPCallbackSender().post(url, headers: [:], body: [], timeout: .seconds(5))
        }
        #expect(refused.context?.contains("linkLocal") == true || url.contains("nobody"), "\(refused.context ?? "")")
    }

    /// A hub that others can reach is no way into the network that it stands in; link-local is refused by every hub.
    @Test(arguments: [
        "http://127.0.0.1/", "http://2130706433/", "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://10.1.2.3/",
        "http://172.31.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://[fd12::1]/", "http://localhost/",
    ]) func privateNetworksAreForLocalHubs(_ url: String) async throws {
        let sender = HTTPCallbackSender(reach: .internet)
        let isName = url.contains("localhost")
        #expect((sender.flaw(url) == nil) == isName && HTTPCallbackSender().flaw(url) == nil)
        let refused = try await problem {
            _ = try await sender.post(url, headers: [:], body: [], timeout: .seconds(5))
        }
        #expect(refused.context?.contains("privateNetwork") == true, "\(refused.context ?? "")")
        for reach in [CallbackReach.everywhere, .internet] {
            #expect(HTTPCallbackSender(reach: reach).flaw("http://0xa9fea9fe/") != nil)
            #expect(HTTPCallbackSender(reach: reach).flaw("https://192.0.2.1/x") == nil)
        }
    }

    @Test func aRedirectIsNotFollowed() async throws {
        let receiver = try await Receiver()
        defer { receiver.stop() }
        let sender = HTTPCallbackSender()
        let url = "http://localhost:\(receiver.port)"
        #expect(try await sender.post("\(url)/moved", headers: [:], body: [], timeout: .seconds(30)) == 307)
        #expect(try await sender.post("\(url)/hook", headers: [:], body: [1], timeout: .seconds(30)) == 200)
        var messages = receiver.messages.makeAsyncIterator()
        #expect(await messages.next()?.body == [1])
    }

    /// A receiver that is away costs one look a few attempts, however much waits for it; and of two hubs one sends.
    @Test func oneReceiverDoesNotHoldUpAnother() async throws {
        let fixture = try HubFixture()
        let shelf = try await fixture.make("shelf", ["name": "s"])
        _ = try await fixture.hub.ensureSigningKey()
        let receiver = try await Receiver()
        defer { receiver.stop() }
        for (number, url)
            in (Array(repeating: "http://127.0.0.1:1/hook", count: 9)
            + ["http://127.0.0.1:\(receiver.port)/hook"]).enumerated()
        {
            let id = try await fixture.make(
                "book", below: shelf, ["title": .string("b\(number)"), "callback_url": .string(url)])
            try await settle(fixture, id, .active)
        }
        let other = HubFixture.hub(fixture.store, TestKinds.all, fixture.clock)
        async let first: Void = fixture.hub.deliverCallbacks()
        async let second: Void = other.deliverCallbacks()
        _ = try await (first, second)
        var messages = receiver.messages.makeAsyncIterator()
        let body = try JSONParser.parse(try #require(await messages.next()).body)
        #expect(body["resource"]?["title"] == "b9")
        let left = try await fixture.store.read { try $0.cells("callback") }
        #expect(left.count == 9, "what was taken is gone")
        #expect(left.count { $0.value["attempts"] == 0 } > 0, "not all of them were tried")
        fixture.clock.move(.seconds(60))
        let again = try await fixture.make(
            "book", below: shelf,
            ["title": "last", "callback_url": .string("http://127.0.0.1:\(receiver.port)/hook")])
        try await settle(fixture, again, .active)
        try await fixture.hub.deliverCallbacks()
        let last = try JSONParser.parse(try #require(await messages.next()).body)
        #expect(last["resource"]?["title"] == "last", "the first message came once")
    }
}
