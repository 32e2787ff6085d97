import Edge
import Glibc
import Model
import Testing

/// Requests for another protocol, and the two streams of bytes that come of them.
@Suite(.serialized, .exclusive)
struct TunnelTests {
    private static let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
    private static let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\n"

    @Test func upgradeMakesATunnel() async throws {
        let upstream = try RawUpstream { connection, _ in
            let head = try connection.receive(until: "\r\n\r\n")
            #expect(head.contains("Connection: Upgrade\r\nUpgrade: chat\r\n"))
            try connection.send(Self.switching + "hi")
            while case let bytes = try connection.receive(), !bytes.isEmpty { try connection.send(bytes) }
            try connection.send("bye")
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            let inFlight = try await blocking {
                let client = try RawSocket(port: port)
                try client.send(Self.upgrade + "early")
                let response = try client.response()
                #expect(response?.status == 101)
                #expect(response?.field("upgrade") == "chat")
                #expect(try client.receive(max: 2) == Array("hi".utf8))
                #expect(try client.receive(max: 5) == Array("early".utf8))
                try client.send([0, 1, 2, 255])
                #expect(try client.receive() == [0, 1, 2, 255])
                return client
            }
            #expect(try await edge.control.status().requestsInFlight == ["127.0.0.1:\(upstream.port)": 1])
            try await blocking {
                inFlight.closeOutput()
                let rest = try inFlight.receiveAll()
                #expect(rest == Array("bye".utf8))
            }
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }

    /// One direction of a tunnel goes on after the other has ended, however long the pauses.
    @Test func aTunnelHalfClosedByItsUpstreamGoesOn() async throws {
        let upstream = try RawUpstream { connection, upstream in
            _ = try connection.receive(until: "\r\n\r\n")
            try connection.send(Self.switching + "hi")
            connection.closeOutput()
            connection.setTimeout(seconds: 30)
            upstream.note(try connection.receiveAll())
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                try client.send(Self.upgrade)
                #expect(try client.response()?.status == 101)
                #expect(try client.receiveAll() == Array("hi".utf8))
                usleep(2_700_000)
                try client.send("late")
                client.closeOutput()
            }
            #expect(try await eventually { upstream.leftovers == [Array("late".utf8)] })
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }

    /// What an upstream that ended first has not taken yet, when its client ends as well, still goes to it.
    @Test func whatTheClientOfATunnelSentLastIsNotLost() async throws {
        let goesOn = SharedFlag()
        let upstream = try RawUpstream { connection, upstream in
            _ = try connection.receive(until: "\r\n\r\n")
            try connection.send(Self.switching)
            connection.closeOutput()
            try goesOn.wait()
            upstream.note(Array("\(try connection.receiveAll().count)".utf8))
        }
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            // How much the system takes for an upstream that does not read, nobody says; the edge keeps 256 KiB more.
            for (number, bytes) in stride(from: 64, through: 8192, by: 128).map({ $0 * 1024 }).enumerated() {
                goesOn.value = false
                let sending = Task {
                    try await blocking {
                        let client = try RawSocket(port: port)
                        try client.send(Self.upgrade)
                        #expect(try client.response()?.status == 101)
                        #expect(try client.receiveAll().isEmpty)
                        try client.send([UInt8](repeating: 7, count: bytes))
                    }
                }
                try await Task.sleep(for: .milliseconds(50))
                goesOn.value = true
                try await sending.value
                #expect(try await eventually { upstream.leftovers.count == number + 1 })
                #expect(upstream.leftovers.last == Array("\(bytes)".utf8))
            }
            #expect(try await eventually { try await edge.control.status().requestsInFlight.isEmpty })
        }
    }

    /// A server on NIO, for one, reads nothing behind a request that asked for another protocol.
    @Test func anUpgradeThatIsNotTakenHarmsNoOther() async throws {
        let upstream = try RawUpstream { connection, upstream in
            while let request = try upstream.read(connection) {
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                if !request.fields("upgrade").isEmpty { _ = try connection.receiveAll() }
            }
        }
        try await EdgeFixture.with(.single(upstream.port)) { (edge: EdgeFixture) async throws in
            for _ in 0..<3 {
                let fields = "Connection: Upgrade\r\nUpgrade: chat\r\n"
                #expect(try await edge.get("/", fields: fields).text == "ok")
                #expect(try await edge.get("/").text == "ok")
            }
        }
    }
}
