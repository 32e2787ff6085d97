import Model
import NIOCore
import Testing

@testable import Edge

/// The parts of policies that need no edge.
@Suite struct PolicyPartsTests {
    private static let second: UInt64 = 1_000_000_000

    private func address(_ text: String) -> ClientAddress { ClientAddress(text: Array(text.utf8))! }

    @Test(arguments: [
        ("203.0.113.7", "203.0.113.7"), ("203.0.113.7:4711", "203.0.113.7"), ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"), ("::ffff:203.0.113.7", "203.0.113.7"), ("::1", "::1"),
    ])
    func addressesAreRead(text: String, canonical: String) {
        #expect(ClientAddress(text: Array(text.utf8))?.text == canonical)
    }

    @Test(arguments: ["", "x", "1.2.3", "1.2.3.4.5", "::1::", "[::1", "unknown", "_hidden", "1.2.3.4:x", "1.2.3.4 "])
    func whatIsNoAddressIsNone(text: String) {
        #expect(ClientAddress(text: Array(text.utf8)) == nil)
    }

    @Test func socketAddressesAndTextsAgree() throws {
        for text in ["203.0.113.7", "2001:db8::42"] {
            #expect(ClientAddress(try SocketAddress(ipAddress: text, port: 1)) == address(text))
        }
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3/32", "10.1.2.4", false), ("0.0.0.0/0", "1.2.3.4", true), ("0.0.0.0/0", "::1", false),
        ("::/0", "1.2.3.4", false), ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false), ("10.9.9.9/8", "10.1.1.1", true),
    ])
    func networksHoldTheirAddresses(network: String, client: String, holds: Bool) throws {
        #expect(try #require(Network(network)).holds(address(client)) == holds)
    }

    @Test func tokensComeBackAtTheirRate() {
        let usage = RouteUsage(EdgeRouteLimits(requestsPerSecond: 2, burst: 3))
        let client = address("203.0.113.7")
        var now = Self.second
        for _ in 0..<3 { #expect(usage.enter(client, now: now) == .admitted) }
        #expect(usage.enter(client, now: now) == .tooOften(retryAfterSeconds: 1))
        now += Self.second
        for _ in 0..<2 { #expect(usage.enter(client, now: now) == .admitted) }
        #expect(usage.enter(client, now: now) == .tooOften(retryAfterSeconds: 1))
        // However long it was away, it may ask no more than the burst at once.
        now += 3600 * Self.second
        for _ in 0..<3 { #expect(usage.enter(client, now: now) == .admitted) }
        #expect(usage.enter(client, now: now) != .admitted)
    }

    @Test func theTableOfClientsIsBounded() {
        let usage = RouteUsage(EdgeRouteLimits(requestsPerSecond: 0.001, burst: 1, concurrentPerClient: 5))
        let busy = address("192.0.2.1")
        #expect(usage.enter(busy, now: 1) == .admitted)
        for number in 0..<100_000 {
            let client = ClientAddress(bits: 0xFFFF_0A00_0000 + UInt128(number))
            #expect(usage.enter(client, now: 2 + UInt64(number)) == .admitted)
            usage.leave(client)
        }
        #expect(usage.clientCount <= RouteUsage.clientsMax)
        #expect(usage.clientCount > RouteUsage.clientsMax / 4)
        // Whoever has a request under way is not forgotten, and so neither is what it used up.
        #expect(usage.enter(busy, now: 300_000) != .admitted)
    }

    @Test func placesAreGivenBack() {
        let usage = RouteUsage(EdgeRouteLimits(concurrentPerClient: 1, concurrentRequests: 2))
        let clients = (1...3).map { address("192.0.2.\($0)") }
        #expect(usage.enter(clients[0], now: 1) == .admitted)
        #expect(usage.enter(clients[0], now: 1) == .tooManyAtOnce)
        #expect(usage.enter(clients[1], now: 1) == .admitted)
        #expect(usage.enter(clients[2], now: 1) == .full)
        usage.leave(clients[0])
        #expect(usage.enter(clients[2], now: 1) == .admitted)
        #expect(usage.enter(clients[0], now: 1) == .full)
    }

    @Test func anEndpointIsOutForLongerEachTime() {
        let health = EndpointHealth()
        func fail(_ now: UInt64) { health.failed(now: now, failuresMax: 2, outNanoseconds: 10) }
        fail(100)
        #expect(health.standing(now: 100) == .well)
        fail(100)
        #expect(health.standing(now: 109) == .out)
        #expect(health.standing(now: 110) == .mayTry)
        let (first, second) = (health.beginTrial(), health.beginTrial())
        #expect(first && !second)
        #expect(health.standing(now: 110) == .out)
        fail(110)
        #expect(health.standing(now: 129) == .out)
        #expect(health.standing(now: 130) == .mayTry)
        #expect(health.beginTrial())
        health.succeeded()
        #expect(health.standing(now: 130) == .well)
        fail(130)
        #expect(health.standing(now: 130) == .well)
    }

    @Test func onlyFailuresWithinTheWindowOpenTheBreaker() {
        let breaker = CircuitBreaker(EdgeBreaker(failures: 3, windowMs: 1_000, openMs: 2_000))
        for time in [1, 2, 3, 4, 5] { breaker.failed(now: UInt64(time) * Self.second, isTrial: false) }
        #expect(breaker.verdict(now: 5 * Self.second) == .pass)
        let now = 6 * Self.second
        for _ in 0..<3 { breaker.failed(now: now, isTrial: false) }
        #expect(breaker.verdict(now: now) == .refuse(retryAfterSeconds: 2))
        #expect(breaker.verdict(now: now + 2 * Self.second) == .tryIt)
        #expect(breaker.verdict(now: now + 2 * Self.second) == .refuse(retryAfterSeconds: 1))
        breaker.abandonTrial()
        #expect(breaker.verdict(now: now + 2 * Self.second) == .tryIt)
        breaker.succeeded(isTrial: true)
        #expect(breaker.verdict(now: now + 2 * Self.second) == .pass)
    }

    @Test func percentilesAreWithinTheirBuckets() {
        let series = Series.allocate()
        defer { series.deallocate() }
        for _ in 0..<90 { series.finish(status: 200, microseconds: 2_000, bytesIn: 1, bytesOut: 2) }
        for _ in 0..<10 { series.finish(status: 503, microseconds: 80_000, bytesIn: 1, bytesOut: 2) }
        let sample = series.sample
        #expect(sample[.class2] == 90 && sample[.class5] == 10 && sample[.bytesOut] == 200)
        #expect((1.0...2.5).contains(sample.percentile(0.5) ?? 0))
        #expect((50.0...100.0).contains(sample.percentile(0.99) ?? 0))
        #expect(SeriesSample.zero.percentile(0.5) == nil)
        #expect(sample.since(sample)[.class2] == 0)
    }

    @Test func ratesAreOfTheLastMinute() {
        let series = Series.allocate()
        defer { series.deallocate() }
        var history = RateHistory(now: 0)
        for step in 1...20 {
            if step <= 10 {
                for _ in 0..<100 {
                    series.begin(at: Int64(step))
                    series.finish(status: 200, microseconds: 700, bytesIn: 0, bytesOut: 0)
                }
            }
            let totals = ["web": series.sample]
            let now = UInt64(step) * RateHistory.intervalNanoseconds
            let rate = history.statuses(totals, now: now)["web"]?.requestsPerSecond ?? -1
            if step == 10 { #expect((9.9...10.1).contains(rate)) }
            if step == 20 { #expect(rate == 0) }
            history.add(totals, now: now)
        }
    }

    @Test(arguments: [
        ("gzip, br", ["br", "gzip"]), ("GZIP;q=0.2", ["gzip"]), ("br;q=0,*", ["gzip"]), ("identity", []),
        ("*;q=0", []), ("", []),
    ])
    func encodingsAreNegotiated(value: String, names: [String]) {
        #expect(StaticPlan.accepted(Array(value.utf8)).map(\.name) == names)
    }

    @Test func headsAreEdited() {
        var edits = HeaderEdits()
        edits.set("X-New", "1")
        edits.remove("X-Old")
        edits.setDefault("X-Given", "default")
        edits.setDefault("X-Absent", "default")
        let head = "HTTP/1.1 200 OK\r\nx_old: 1\r\nX-OLD: 2\r\nx-given: own\r\nx-new: 0\r\n\r\n"
        let edited = edits.apply(to: ByteBuffer(string: head + "X-Old: body"), headBytes: head.utf8.count)
        #expect(
            String(buffer: edited)
                == "HTTP/1.1 200 OK\r\nx-given: own\r\nX-New: 1\r\nX-Absent: default\r\n\r\nX-Old: body")
    }

    @Test func onlyWholeCredentialsAreRead() {
        let read = BasicAccess.credentials(Array("Basic YW5uOnNlOnNhbWU=".utf8))
        #expect(read == BasicAccess.Credentials(name: Array("ann".utf8), phrase: Array("se:same".utf8)))
        for value in ["Basic", "Basic ", "Basic YW5u", "Basic a~b", "Bearer YW5uOnNl", "Basic\tYW5uOnNl"] {
            #expect(BasicAccess.credentials(Array(value.utf8)) == nil, "\(value)")
        }
    }
}
