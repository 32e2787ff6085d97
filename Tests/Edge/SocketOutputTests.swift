import Edge
import Glibc
import Model
import Testing

/// What a socket takes at once and what it does not go different ways: neither may overtake the other.
@Suite(.serialized, .exclusive)
struct SocketOutputTests {
    private static let sizes = [10, 700_000, 2, 90_000, 0, 5_000_000, 3, 4_096, 4_097, 500_000, 1, 20]

    /// Bytes that tell where they belong.
    private static let bytes = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 &>> 8 &+ $0 &>> 16) }

    private static func pattern(_ count: Int) -> [UInt8] { Array(bytes[..<count]) }

    private static let source: RawUpstream.Script = { connection, _ in
        while true {
            let head = try connection.receive(until: "\r\n\r\n")
            guard let path = head.split(separator: " ").dropFirst().first, let size = Int(path.dropFirst()) else {
                return
            }
            try connection.send(Array("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n".utf8) + pattern(size))
        }
    }

    private static let sink: RawUpstream.Script = { connection, _ in
        connection.setTimeout(seconds: 60)
        while true {
            let head = try connection.receive(until: "\r\n\r\n")
            guard let size = RawResponse(head: head, body: []).field("content-length").flatMap({ Int($0) }) else {
                return
            }
            usleep(50_000)
            var body: [UInt8] = []
            while body.count < size {
                let more = try connection.receive(max: min(10_000, size - body.count))
                if more.isEmpty { return }
                body += more
            }
            try connection.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\(body == pattern(size) ? "same" : "else")")
        }
    }

    /// The end of the connection does not overtake what waits for a slow client.
    @Test(.timeLimit(.minutes(5)))
    func aSlowClientGetsAllOfTheLastAnswer() async throws {
        let upstream = try RawUpstream(script: Self.source)
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            for size in [300_000, 700_000, 900_000, 1_500_000, 5_000_000] {
                try await blocking {
                    let client = try RawSocket(port: port, timeoutSeconds: 60)
                    try client.send("GET /\(size) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    usleep(100_000)
                    let head = try client.receive(until: "\r\n\r\n")
                    #expect(head.hasPrefix("HTTP/1.1 200"))
                    var body: [UInt8] = []
                    while true {
                        let more = try client.receive(max: 60_000)
                        if more.isEmpty { break }
                        body += more
                        usleep(2_000)
                    }
                    #expect(body == Self.pattern(size), "\(body.count) of \(size)")
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aSlowClientGetsEveryByteInOrder() async throws {
        let upstream = try RawUpstream(script: Self.source)
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port, timeoutSeconds: 60)
                try client.send(Self.sizes.map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
                for size in Self.sizes {
                    usleep(50_000)
                    let response = try client.response()
                    #expect(response?.body == Self.pattern(size), "\(size) bytes")
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aSlowUpstreamGetsEveryByteInOrder() async throws {
        let upstream = try RawUpstream(script: Self.sink)
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port, timeoutSeconds: 60)
                for size in Self.sizes where size > 0 {
                    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n"
                    try client.send(Array(head.utf8) + Self.pattern(size))
                    #expect(try client.response()?.text == "same", "\(size) bytes")
                }
            }
        }
    }
}
