import Edge
import Glibc
import Host
import LinuxHost
import Logging
import Model
import Synchronization
import TestSupport
import Testing

@testable import Node

/// One edge process follows another, as at an upgrade or when its addresses change.
@Suite(.serialized, .exclusive)
struct HandoverTests {
    static func start(_ listeners: EdgeListeners, limits: EdgeLimits = EdgeLimits()) -> Task<Void, any Error> {
        var logger = Logger(label: "edge")
        logger.logLevel = .error
        let edge = EdgeServer(listeners: listeners, limits: limits, logger: logger)
        return Task.detached { try await edge.run() }
    }

    private static func next(_ listeners: EdgeListeners, _ generation: Int) -> EdgeListeners {
        var listeners = listeners
        listeners.generation = generation
        return listeners
    }

    static func serves(_ edge: EdgeFixture, _ generation: Int) async throws -> Bool {
        try await eventually(.seconds(20)) { try await isServed(edge, generation) }
    }

    private static func isServed(_ edge: EdgeFixture, _ generation: Int) async throws -> Bool {
        do {
            return try await edge.control.status().generation == generation
        } catch let problem as Problem where problem.code == .unavailable || problem.code == .timeout {
            return false
        }
    }

    /// Keeps asking until told to stop.
    private final class Load: Sendable {
        private let isStopped = Atomic<Bool>(false)
        private let counts = Mutex((sent: 0, failures: [String]()))
        private let port: Int

        init(port: Int) { self.port = port }

        func stop() { isStopped.store(true, ordering: .relaxed) }

        var outcome: (sent: Int, failures: [String]) { counts.withLock { $0 } }

        /// Over one connection for as long as it lasts, or a new one for each request.
        func run(staysOpen: Bool) async throws {
            try await blocking { [self] in
                var client: RawSocket?
                while !isStopped.load(ordering: .relaxed) {
                    let failure = ask(&client, staysOpen: staysOpen)
                    counts.withLock {
                        $0.sent += 1
                        if let failure { $0.failures.append(failure) }
                    }
                }
            }
        }

        private func ask(_ client: inout RawSocket?, staysOpen: Bool) -> String? {
            do {
                let socket = try client ?? RawSocket(port: port)
                client = nil
                let close = staysOpen ? "" : "Connection: close\r\n"
                try socket.send("GET /a HTTP/1.1\r\nHost: a\r\n\(close)\r\n")
                guard let response = try socket.response() else { return "no response" }
                if staysOpen, response.field("connection") != "close" { client = socket }
                return response.status == 200 ? nil : "status \(response.status)"
            } catch {
                return "\(error)"
            }
        }
    }

    /// Requests over connections that stay and over new ones, while one process follows the other ten times.
    @Test(.timeLimit(.minutes(2)))
    func noRequestFailsWhileProcessesFollowEachOther() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let load = Load(port: edge.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<2 { group.addTask { try await load.run(staysOpen: worker % 2 == 0) } }
                var running: [Task<Void, any Error>] = []
                for generation in 1...10 {
                    running.append(Self.start(Self.next(edge.listeners, generation)))
                    #expect(try await Self.serves(edge, generation))
                    // The supervisor's stop: what follows is in place.
                    if generation > 1 { running[generation - 2].cancel() }
                    try await Task.sleep(for: .milliseconds(100))
                }
                load.stop()
                try await group.waitForAll()
                running[9].cancel()
                for task in running { try await task.value }
            }
            let (sent, failures) = load.outcome
            #expect(failures.isEmpty, "\(failures.prefix(5)) of \(sent)")
            #expect(sent > 200)
        }
    }

    @Test func whatIsUnderWayIsFinishedByTheOldProcess() async throws {
        let goesOn = SharedFlag()
        let upstream = try RawUpstream { connection, upstream in
            guard let request = try upstream.read(connection) else { return }
            if request.line.contains("slow") { try goesOn.wait() }
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            async let slow = edge.get("/slow")
            #expect(try await eventually { try await !edge.control.status().requestsInFlight.isEmpty })
            let second = Self.start(Self.next(edge.listeners, 1))
            #expect(try await Self.serves(edge, 1))
            let quick = try await edge.get("/quick")
            #expect(quick.status == 200)
            goesOn.value = true
            let finished = try await slow
            #expect(finished.text == "ok")
            // The first waits for its supervisor and answers nobody.
            edge.server.cancel()
            try await edge.server.value
            let after = try await edge.get("/quick")
            #expect(after.status == 200)
            second.cancel()
            try await second.value
        }
    }

    @Test func whatLastsTooLongIsCutOff() async throws {
        let upstream = try RawUpstream { connection, upstream in
            _ = try upstream.read(connection)
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while true {
                try connection.send("x")
                usleep(100_000)
            }
        }
        var limits = EdgeLimits()
        limits.handoverDrainTimeout = .seconds(1)
        try await EdgeFixture.with(.single(upstream.port), limits: limits) { edge in
            let port = edge.port
            async let endless = blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.receiveAll().count
            }
            #expect(try await eventually { try await !edge.control.status().requestsInFlight.isEmpty })
            let second = Self.start(Self.next(edge.listeners, 1))
            #expect(try await Self.serves(edge, 1))
            #expect(try await endless < 1000)
            second.cancel()
            try await second.value
        }
    }

    @Test func theAddressesMayChange() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            var moved = Self.next(edge.listeners, 1)
            let port = try FreePorts.take(1)[0]
            moved.publicAddress = "127.0.0.1:\(port)"
            let second = Self.start(moved)
            #expect(try await Self.serves(edge, 1))
            let response = try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.response()
            }
            #expect(response?.status == 200)
            let isGone = try await eventually {
                do { return try await edge.get("/").status == 0 } catch { return true }
            }
            #expect(isGone)
            // The same port, for all addresses of the machine.
            var wider = Self.next(moved, 2)
            wider.publicAddress = "0.0.0.0:\(port)"
            let third = Self.start(wider)
            #expect(try await Self.serves(edge, 2))
            let names = try await dig(edge, "+short", "web.svc.internal", "A")
            #expect(names == "127.0.0.1\n")
            second.cancel()
            try await second.value
            let again = try await blocking {
                let client = try RawSocket(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.response()
            }
            #expect(again?.status == 200)
            third.cancel()
            try await third.value
        }
    }

    @Test(arguments: [nil, 0, 1])
    func anEarlierGenerationDoesNotTakeTheSocketsBack(generation: Int?) async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let second = Self.start(Self.next(edge.listeners, 1))
            #expect(try await Self.serves(edge, 1))
            var former = edge.listeners
            former.generation = generation
            let again = Self.start(former)
            let problem = await #expect(throws: Problem.self) { try await again.value }
            #expect(problem?.code == .conflict)
            let response = try await edge.get("/")
            #expect(response.status == 200)
            second.cancel()
            try await second.value
        }
    }

    /// The real edge, which counts how often it said that another one serves by now.
    private final class CountingEdge: EdgeControl {
        private let control: EdgeControlClient
        private let count = Atomic(0)
        init(_ control: EdgeControlClient) { self.control = control }
        var conflicts: Int { count.load(ordering: .relaxed) }

        func apply(_ table: EdgeTable) async throws {
            do {
                try await control.apply(table)
            } catch let problem as Problem where problem.code == .conflict {
                count.add(1, ordering: .relaxed)
                throw problem
            }
        }
        func status() async throws -> EdgeStatus { try await control.status() }
        func status(afterWake serial: Int, wait: Duration) async throws -> EdgeStatus {
            try await control.status(afterWake: serial, wait: wait)
        }
        func metrics() async throws -> String { try await control.metrics() }
    }

    /// What the agent wants of the edge in the very moment in which one process follows the other.
    @Test(.timeLimit(.minutes(2)))
    func aTableThatComesMeanwhileIsServedByTheNextProcess() async throws {
        let isReleased = Mutex(false)
        let upstream = try RawUpstream { connection, upstream in
            guard let request = try upstream.read(connection) else { return }
            while request.line.contains("held"), !isReleased.withLock({ $0 }) { usleep(10_000) }
            try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        }
        try await EdgeFixture.with { edge in
            let counting = CountingEdge(edge.control)
            let random = SeededRandom(1)
            let machine = SimulatedMachine(
                name: "n", source: SimulatedSource(), clock: VirtualTime(random: random), random: random)
            var host = machine.host(gate: OpenGate())
            (host.edge, host.clock) = (counting, LiveClock())
            let director = EdgeDirector(host: host, suffix: "svc.internal", logFolder: edge.folder)
            @Sendable func route(_ number: Int) async throws {
                let table = EdgeTable.single(upstream.port)
                let routes =
                    [EdgeRoute(pathPrefix: "/held", upstreamId: "web")]
                    + [EdgeRoute(pathPrefix: "/\(number)", upstreamId: "web")]
                try await director.set(
                    EdgeContribution(name: "web", upstream: table.upstreams[0], routes: routes), for: "web")
            }
            try await route(0)
            var running: [Task<Void, any Error>] = []
            var number = 0
            // The moment is short: it is tried until it was met.
            for generation in 1...20 where counting.conflicts == 0 {
                // A request that lasts keeps the former process there, which then has an answer.
                let held = try edge.connect()
                try held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try await eventually { try await !edge.control.status().requestsInFlight.isEmpty })
                running.append(Self.start(Self.next(edge.listeners, generation)))
                while try await !Self.isServed(edge, generation) {
                    number += 1
                    try await route(number)
                }
                number += 1
                try await route(number)
                let response = try await edge.get("/\(number)")
                #expect(response.status == 200)
                isReleased.withLock { $0 = true }
                #expect(try await blocking { try held.response()?.status } == 200)
                isReleased.withLock { $0 = false }
            }
            #expect(counting.conflicts > 0)
            for task in running {
                task.cancel()
                try await task.value
            }
        }
    }

    /// A process that takes the sockets and dies before it serves.
    @Test func aHandoverThatIsNotFinishedChangesNothing() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            var broken = Self.next(edge.listeners, 5)
            broken.publicAddress = "203.0.113.1:80"
            let second = Self.start(broken)
            let problem = await #expect(throws: Problem.self) { try await second.value }
            #expect(problem?.code == .invalid)
            for _ in 0..<20 {
                let response = try await edge.get("/")
                #expect(response.status == 200)
            }
            try await edge.control.apply(.single(upstream.port, id: "other"))
            let status = try await edge.control.status()
            #expect(status.generation == nil)
        }
    }
}
