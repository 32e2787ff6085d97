import Glibc
import NIOCore
import Testing

@testable import Edge

struct ByteStreamTests {
    private static func with(
        bytesMax: Int32? = nil, _ body: (SocketLoop, RecordingStream, SocketPair) async throws -> Void
    ) async throws {
        try await SocketLoopTests.with { loop in
            let pair = try SocketPair(bytesMax: bytesMax)
            let stream = RecordingStream(loop)
            try await loop.submit { try stream.open(pair.takeFirst()) }.get()
            try await body(loop, stream, pair)
        }
    }

    private static func pattern(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    @Test func whatIsNotWantedStaysUntilItIs() async throws {
        try await Self.with { loop, stream, pair in
            try await loop.submit { stream.want(false) }.get()
            pair.send(Self.pattern(5_000))
            pair.endOutput()
            try await Task.sleep(for: .milliseconds(50))
            #expect(stream.bytes.isEmpty && stream.events == ["attached"])
            try await loop.submit { stream.want(true) }.get()
            let hasEnded = try await eventually { stream.events == ["attached", "input ended"] }
            #expect(hasEnded)
            #expect(stream.bytes == Self.pattern(5_000))
        }
    }

    @Test(arguments: [1, 2_047, 2_048, 2_049, 8_192, 100_000])
    func readsOfEverySizeAreWhole(size: Int) async throws {
        try await Self.with { loop, stream, pair in
            for round in 1...20 {
                let wanted = size * round
                var left = Self.pattern(size)[...]
                while !left.isEmpty {
                    let part = left.prefix(50_000)
                    pair.send(Array(part))
                    left = left.dropFirst(part.count)
                    if part.count == 50_000 { _ = try await loop.submit {}.get() }
                }
                let isThere = try await eventually { stream.bytes.count == wanted }
                #expect(isThere, "\(stream.bytes.count) of \(wanted)")
            }
        }
    }

    /// All of it arrives, in order, whatever it is made of and however little the socket takes at a time.
    @Test func bytesAndFilesGoOutInOrder() async throws {
        let folder = try EdgeFixture.temporaryFolder()
        try writeFile(folder + "/a", String(repeating: "f", count: 300_000))
        let file = open(folder + "/a", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        try await Self.with(bytesMax: 10_000) { loop, stream, pair in
            let completed = Notes<String>()
            try await loop.submit {
                stream.writeOut(ByteBuffer(string: "a"))
                stream.flush()
                stream.writeOut(ByteBuffer(bytes: Self.pattern(200_000)))
                stream.writeOut(ByteBuffer())
                stream.writeOut(ByteBuffer(string: "b")) { sent in completed.add("b \(sent)") }
                stream.writeOut(file: file, 1_000..<250_000) { sent in completed.add("file \(sent)") }
                stream.writeOut(ByteBuffer(string: "c"))
                stream.flush()
                stream.endOutput()
            }.get()
            var got: [UInt8] = []
            let isWhole = try await eventually {
                while let more = pair.receive(), !more.isEmpty { got += more }
                return stream.events.contains("output ended")
            }
            #expect(isWhole)
            while let more = pair.receive(), !more.isEmpty { got += more }
            #expect(pair.receive() == nil)
            let wanted = [97] + Self.pattern(200_000) + [98] + [UInt8](repeating: 102, count: 249_000) + [99]
            #expect(got == wanted, "\(got.count) of \(wanted.count)")
            #expect(completed.all == ["b true", "file true"])
            #expect(stream.events == ["attached", "full", "writable", "output ended"])
        }
    }

    @Test func whatWasNotSentIsSaidToHaveFailed() async throws {
        try await Self.with(bytesMax: 10_000) { loop, stream, pair in
            let completed = Notes<Bool>()
            try await loop.submit {
                stream.writeOut(ByteBuffer(bytes: Self.pattern(500_000))) { sent in completed.add(sent) }
                stream.flush()
                stream.closeStream()
                stream.writeOut(ByteBuffer(string: "late")) { sent in completed.add(sent) }
                stream.flush()
                stream.closeStream()
            }.get()
            #expect(completed.all == [false, false])
            #expect(stream.events == ["attached", "full", "closed"])
        }
    }

    @Test(arguments: [true, false])
    func itClosesWhenBothSidesHaveEnded(ownFirst: Bool) async throws {
        try await Self.with { loop, stream, pair in
            if !ownFirst { pair.endOutput() }
            let isTold = try await eventually { ownFirst || stream.events.contains("input ended") }
            #expect(isTold)
            try await loop.submit {
                stream.writeOut(ByteBuffer(string: "last"))
                stream.endOutput()
            }.get()
            if ownFirst {
                #expect(stream.events == ["attached", "output ended"])
                pair.send([1])
                pair.endOutput()
            }
            let isClosed = try await eventually { stream.events.last == "closed" }
            #expect(isClosed)
            #expect(stream.bytes == (ownFirst ? [1] : []))
            #expect(Set(stream.events).count == stream.events.count)
            #expect(pair.receive() == Array("last".utf8))
            #expect(pair.receive() == nil)
        }
    }

    /// What the other side sent before it went is read, although writing to it fails.
    @Test func anAnswerBeforeTheBreakIsRead() async throws {
        try await SocketLoopTests.with { loop in
            let stream = RecordingStream(loop)
            var pair: SocketPair? = try SocketPair()
            pair?.send(Array("answer".utf8))
            let descriptor = pair?.takeFirst() ?? -1
            pair = nil
            try await loop.submit {
                try stream.open(descriptor)
                stream.writeOut(ByteBuffer(string: "question"))
                stream.flush()
            }.get()
            #expect(stream.bytes == Array("answer".utf8))
            #expect(stream.events == ["attached", "input ended", "closed"])
        }
    }

    @Test func aSlowReaderHoldsItsWriter() async throws {
        try await Self.with(bytesMax: 10_000) { loop, stream, pair in
            let counts = try await loop.submit {
                var count = 0
                while stream.isWritable, count < 10_000 {
                    stream.writeOut(ByteBuffer(bytes: Self.pattern(1_000)))
                    stream.flush()
                    count += 1
                }
                return (count, stream.unsentBytes)
            }.get()
            #expect(counts.1 > ByteStream.highWaterBytes && counts.1 < 2 * ByteStream.highWaterBytes)
            var got = 0
            let isWritable = try await eventually {
                while let more = pair.receive(), !more.isEmpty { got += more.count }
                return stream.events.last == "writable"
            }
            #expect(isWritable)
            let isSent = try await eventually {
                while let more = pair.receive(), !more.isEmpty { got += more.count }
                return got == counts.0 * 1_000
            }
            #expect(isSent)
            let left = try await loop.submit { stream.unsentBytes }.get()
            #expect(left == 0)
        }
    }
}
