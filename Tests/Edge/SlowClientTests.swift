import Edge
import Glibc
import Model
import Testing

/// Clients that take their time.
@Suite(.serialized, .exclusive)
struct SlowClientTests {
    /// More of them than the edge takes: the oldest make room long before their time is over.
    @Test(arguments: ["GET / HTTP/1.1\r\nHost: a\r\n", ""])
    func halfSentHeadsMakeRoom(start: String) async throws {
        let upstream = try RawUpstream()
        var limits = EdgeLimits()
        limits.connectionsMax = 80
        limits.requestHeadTimeout = .seconds(30)
        try await EdgeFixture.with(.single(upstream.port), limits: limits) { edge in
            let port = edge.port
            let (slow, first) = try await blocking {
                let slow = try (0..<200).map { _ in
                    let client = try RawSocket(port: port)
                    try client.send(start)
                    return client
                }
                // Behind all of them in the queue.
                let honest = try RawSocket(port: port, timeoutSeconds: 25)
                try honest.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                return (slow, try honest.response())
            }
            #expect(first?.status == 200)
            _ = slow
        }
    }

    /// One that has a place and makes progress keeps it while there is room.
    @Test func aSlowHeadIsServedWhereThereIsRoom() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            let answer = try await blocking {
                let client = try RawSocket(port: port)
                for part in ["GET / HTTP/1.1\r\n", "Host: a\r\n", "\r\n"] {
                    try client.send(part)
                    usleep(1_200_000)
                }
                return try client.response()
            }
            #expect(answer?.status == 200)
        }
    }
}
