import Edge
import Testing

@Suite(.serialized, .exclusive)
struct RequestTableTests {
    static let behind = "GET /behind HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"

    @Test func theTableIsLargeEnough() { #expect(RequestTable.all.count >= 150) }

    /// One edge and one upstream for all rows, so that a row that poisons a shared connection is found by the next.
    @Test(.timeLimit(.minutes(2)))
    func everyRowEndsAsItMust() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            for row in RequestTable.all {
                upstream.forget()
                let port = edge.port
                let bytes = row.bytes + Array(Self.behind.utf8)
                let answers = try await blocking { try Self.send(bytes, port: port) }
                #expect(
                    answers.map(\.status) == row.statuses + (row.goesOn ? [200] : []), "statuses of: \(row.name)")
                #expect(
                    upstream.requests.map(\.line) == row.upstreamLines + (row.goesOn ? ["GET /behind HTTP/1.1"] : []),
                    "requests upstream of: \(row.name)")
                for request in upstream.requests { check(request, row) }
            }
        }
    }

    /// The same bytes in pieces of one must come to the same end.
    @Test(.timeLimit(.minutes(2)))
    func everyRowEndsTheSameByteByByte() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            for row in RequestTable.all where row.bytes.count < 400 {
                upstream.forget()
                let port = edge.port
                let bytes = row.bytes + Array(Self.behind.utf8)
                let answers = try await blocking { try Self.send(bytes, port: port, piece: 1) }
                #expect(answers.map(\.status) == row.statuses + (row.goesOn ? [200] : []), "\(row.name)")
                #expect(
                    upstream.requests.map(\.line) == row.upstreamLines + (row.goesOn ? ["GET /behind HTTP/1.1"] : []),
                    "\(row.name)")
            }
        }
    }

    static func send(_ bytes: [UInt8], port: Int, piece: Int = .max) throws -> [RawResponse] {
        let client = try RawSocket(port: port)
        var offset = 0
        while offset < bytes.count {
            let end = piece == .max ? bytes.count : min(bytes.count, offset + piece)
            // A connection that was refused half-way is what this is about.
            do { try client.send(Array(bytes[offset..<end])) } catch { break }
            offset = end
        }
        var answers: [RawResponse] = []
        while let answer = try client.response() { answers.append(answer) }
        return answers
    }

    /// What every request must look like when it arrives.
    private func check(_ request: RawUpstream.Request, _ row: RequestRow) {
        let framings = request.fields("content-length").count + request.fields("transfer-encoding").count
        #expect(framings <= 1, "one framing: \(row.name)")
        #expect(request.fields("transfer-encoding").allSatisfy { $0 == "chunked" }, "\(row.name)")
        #expect(request.fields("host").count == 1, "one host: \(row.name)")
        #expect(request.fields("x-forwarded-for") == ["127.0.0.1"], "\(row.name)")
        #expect(request.fields("x-request-id").count == 1, "\(row.name)")
        for name in ["connection", "upgrade", "content_length", "transfer_encoding", "http2-settings"] {
            #expect(request.fields(name).isEmpty, "\(name) of: \(row.name)")
        }
    }
}
