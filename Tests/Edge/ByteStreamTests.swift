import Glibc
import NIOCore
import Testing

@testable import Edge

@Suite(.serialized, .exclusive)
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

    /// The end is told behind what is written while the last of the former goes out.
    @Test func theEndWaitsForWhatIsWrittenInTheLastMoment() async throws {
        try await SocketLoopTests.with { loop in
            let pair = try SocketPair(bytesMax: 500_000)
            let stream = RecordingStream(loop) { stream in
                stream.writeOut(ByteBuffer(repeating: 2, count: 2_000_000))
                stream.flush()
                stream.endOutput()
            }
            try await loop.submit {
                try stream.open(pair.takeFirst())
                stream.writeOut(ByteBuffer(repeating: 1, count: 2_000_000))
                stream.flush()
            }.get()
            var count = 0
            let isWhole = try await eventually {
                while let more = pair.receive(), !more.isEmpty { count += more.count }
                return count == 4_000_000
            }
            #expect(isWhole, "\(count)")
            let hasEnded = try await eventually { pair.receive() == nil }
            #expect(hasEnded)
        }
    }

    /// Each is a system call of its own, more than one turn of the loop has.
    @Test func manyFilesGoOutInSeveralTurns() async throws {
        let folder = try EdgeFixture.temporaryFolder()
        try writeFile(folder + "/a", (0..<100).map { String($0 % 10) }.joined())
        let file = open(folder + "/a", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        try await Self.with { loop, stream, pair in
            let sent = Notes<Int>()
            try await loop.submit {
                for index in 0..<100 { stream.writeOut(file: file, index..<index + 1) { if $0 { sent.add(index) } } }
                stream.flush()
            }.get()
            let isSent = try await eventually { sent.all == Array(0..<100) }
            #expect(isSent)
            #expect(pair.receive() == (0..<100).map { UInt8(48 + $0 % 10) })
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
            let isClosed = try await eventually { stream.events.last == "closed" }
            #expect(isClosed)
            #expect(stream.bytes == Array("answer".utf8))
            #expect(stream.events == ["attached", "input ended", "closed"])
        }
    }

    /// More than one turn reads, and not wanted at first.
    @Test(arguments: [true, false])
    func allThatCameBeforeTheBreakIsRead(breaksByWriting: Bool) async throws {
        try await SocketLoopTests.with { loop in
            let stream = RecordingStream(loop)
            var pair: SocketPair? = try SocketPair(bytesMax: 1_000_000)
            try await loop.submit { [pair] in
                stream.want(false)
                try stream.open(pair?.takeFirst() ?? -1)
                // Left unread, it makes a reset of the end.
                stream.writeOut(ByteBuffer(string: "unread"))
                stream.flush()
            }.get()
            pair?.send(Self.pattern(400_000))
            pair = nil
            try await Task.sleep(for: .milliseconds(50))
            if breaksByWriting {
                try await loop.submit {
                    stream.writeOut(ByteBuffer(string: "late"))
                    stream.flush()
                }.get()
            }
            #expect(stream.events == ["attached"])
            try await loop.submit { stream.want(true) }.get()
            let isClosed = try await eventually { stream.events == ["attached", "failed", "closed"] }
            #expect(isClosed, "\(stream.events)")
            #expect(stream.bytes == Self.pattern(400_000), "\(stream.bytes.count)")
        }
    }

    /// Nobody waits for what came: it closes at once, whether the break or the end of the interest came first.
    @Test(arguments: [true, false])
    func aBreakThatNobodyReadsToClosesIt(wantsSome: Bool) async throws {
        try await SocketLoopTests.with { loop in
            let stream = RecordingStream(loop, wantsOfBroken: false, wantsOnce: wantsSome)
            var pair: SocketPair? = try SocketPair(bytesMax: 1_000_000)
            pair?.send(Self.pattern(100_000))
            let descriptor = pair?.takeFirst() ?? -1
            send(descriptor, "unread", 6, Int32(MSG_NOSIGNAL))
            pair = nil
            try await loop.submit {
                stream.want(wantsSome)
                try stream.open(descriptor)
            }.get()
            let isClosed = try await eventually { stream.events == ["attached", "failed", "closed"] }
            #expect(isClosed, "\(stream.events)")
            #expect(stream.bytes.count == (wantsSome ? 2_048 : 0))
        }
    }

    @Test func aBreakAfterTheEndClosesIt() async throws {
        try await SocketLoopTests.with { loop in
            let stream = RecordingStream(loop)
            var pair: SocketPair? = try SocketPair()
            try await loop.submit { [pair] in try stream.open(pair?.takeFirst() ?? -1) }.get()
            pair?.endOutput()
            let hasEnded = try await eventually { stream.events == ["attached", "input ended"] }
            #expect(hasEnded)
            try await loop.submit {
                stream.writeOut(ByteBuffer(string: "unread"))
                stream.flush()
            }.get()
            pair = nil
            let isClosed = try await eventually { stream.events.last == "closed" }
            #expect(isClosed)
        }
    }

    /// A read stops before an urgent byte, and what is behind is there already.
    @Test func whatIsBehindAnUrgentByteIsRead() async throws {
        let listener = try ListeningSocket.open("127.0.0.1:0", count: 1, loopbackOnly: true)[0]
        defer { close(listener) }
        let port = try ListeningSocket.localAddress(of: listener, "").port ?? 0
        try await SocketLoopTests.with { loop in
            let client = try RawSocket(port: port)
            let accepted = accept(listener, nil, nil)
            try client.send("before")
            #expect(send(client.descriptor, "!", 1, Int32(MSG_OOB)) == 1)
            try client.send("behind")
            try await Task.sleep(for: .milliseconds(50))
            let stream = RecordingStream(loop)
            try await loop.submit { try stream.open(accepted) }.get()
            let isRead = try await eventually(.seconds(5)) { stream.bytes == Array("beforebehind".utf8) }
            #expect(isRead, "\(stream.bytes.count)")
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
