import NameResponder
import Testing

@testable import Edge

/// Random and half-random bytes through everything that reads strangers' bytes. The seed is fixed, so that a failure
/// comes back; what must hold is said in each test beside "it does not crash".
@Suite(.serialized, .exclusive)
struct FuzzTests {
    /// SplitMix64.
    struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
            return value ^ value >> 31
        }
    }

    /// `#expect` costs more than what is tested here, so it is only asked when there is something to say.
    private func check(_ holds: Bool, line: Int = #line) {
        if !holds { Issue.record("line \(line) does not hold") }
    }

    /// A seed from the table with some bytes changed, cut out, doubled, or taken from another.
    static func mutate(_ seeds: [[UInt8]], _ random: inout Generator) -> [UInt8] {
        var bytes = Array(seeds.randomElement(using: &random)!.prefix(2000))
        let telling: [UInt8] = Array("\r\n\t :,;0123456789abcfxX-/*\0\u{7F}".utf8) + [0x80, 0xFF]
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let at = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0 where !bytes.isEmpty: bytes[at] = telling.randomElement(using: &random)!
            case 1 where !bytes.isEmpty: bytes[at] = UInt8.random(in: .min ... .max, using: &random)
            case 2: bytes.insert(telling.randomElement(using: &random)!, at: at)
            case 3 where !bytes.isEmpty:
                bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...8, using: &random)))
            default:
                let other = seeds.randomElement(using: &random)!
                bytes.insert(contentsOf: other.prefix(Int.random(in: 0...40, using: &random)), at: at)
            }
        }
        return bytes
    }

    /// A head that is taken is rewritten to one that is taken too, says the same, and has one framing.
    @Test func requestHeads() {
        var random = Generator(state: 1)
        let seeds = RequestTable.all.map(\.bytes)
        var taken = 0
        for _ in 0..<100_000 {
            let bytes = Self.mutate(seeds, &random)
            guard let rewritten = Self.rewrite(bytes) else { continue }
            taken += 1
            var again = RequestHead()
            let outcome = rewritten.withUnsafeBufferPointer {
                RequestHeadParser.parse($0.baseAddress!, count: $0.count, into: &again)
            }
            check(outcome == .complete || outcome == .refused(431) || outcome == .refused(414))
            guard outcome == .complete else { continue }
            check(again.end == rewritten.count)
            check(!rewritten.contains(0))
        }
        #expect(taken > 5_000)
    }

    private static func rewrite(_ bytes: [UInt8]) -> [UInt8]? {
        guard !bytes.isEmpty else { return nil }
        var head = RequestHead()
        let outcome = bytes.withUnsafeBufferPointer {
            RequestHeadParser.parse($0.baseAddress!, count: $0.count, into: &head)
        }
        guard outcome == .complete else { return nil }
        return bytes.withUnsafeBufferPointer { buffer -> [UInt8]? in
            let start = buffer.baseAddress!
            var path: [UInt8]?
            if head.pathNeedsNormalising(start) {
                path = PathNormaliser.normalised(start + head.pathOnly.start, count: head.pathOnly.count)
                guard path != nil else { return nil }
            }
            let additions = RequestAdditions(
                forwardedLines: Array("X-Forwarded-For: 1.2.3.4\r\n".utf8), requestId: (1, 2), stripCount: 0,
                path: path,
                fallbackHost: Array("web".utf8))
            let bytesMax = RequestRewriter.bytesMax(head, additions)
            return [UInt8](unsafeUninitializedCapacity: bytesMax) { out, count in
                count = RequestRewriter.write(start, head, additions, to: out.baseAddress!)
                precondition(count <= bytesMax, "the rewriter wrote more than it said")
            }
        }
    }

    @Test func responseHeads() {
        var random = Generator(state: 2)
        let seeds = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
            "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5, max=100\r\n\r\n",
            "HTTP/1.0 304 Not Modified\r\nETag: \"a\"\r\nConnection: close, X\r\nX: y\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ].map { Array($0.utf8) }
        var taken = 0
        for _ in 0..<100_000 {
            let bytes = Self.mutate(seeds, &random)
            guard !bytes.isEmpty else { continue }
            var head = ResponseHead()
            let outcome = bytes.withUnsafeBufferPointer {
                ResponseHeadParser.parse($0.baseAddress!, count: $0.count, into: &head)
            }
            guard outcome == .complete else { continue }
            taken += 1
            let shape = ResponseShape(
                framing: head.framing, keepsFraming: true, closes: false, isHTTP10: false, isUpgrade: head.status == 101
            )
            let written = bytes.withUnsafeBufferPointer { buffer in
                let bytesMax = ResponseRewriter.bytesMax(head)
                return [UInt8](unsafeUninitializedCapacity: bytesMax) { out, count in
                    count = ResponseRewriter.write(
                        buffer.baseAddress!, head, shape, date: Array("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".utf8),
                        to: out.baseAddress!)
                    precondition(count <= bytesMax, "the rewriter wrote more than it said")
                }
            }
            var again = ResponseHead()
            let second = written.withUnsafeBufferPointer {
                ResponseHeadParser.parse($0.baseAddress!, count: $0.count, into: &again)
            }
            check(second == .complete)
            check(again.framing == head.framing)
        }
        #expect(taken > 5_000)
    }

    /// However a body is cut into buffers, the scanner comes to the same end at the same byte.
    @Test func chunks() {
        var random = Generator(state: 3)
        let seeds =
            (RequestTable.chunks + RequestTable.accepted).map { row -> [UInt8] in
                let text = String(decoding: row.bytes, as: UTF8.self)
                return Array(text.split(separator: "\r\n\r\n", maxSplits: 1).last.map { "\($0)" }?.utf8 ?? "".utf8)
            } + [Array("4\r\nabcd\r\n10;a=b\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\nrest".utf8)]
        for _ in 0..<100_000 {
            let bytes = Self.mutate(seeds, &random)
            let whole = Self.scan(bytes, pieces: [bytes.count])
            var pieces: [Int] = []
            while pieces.reduce(0, +) < bytes.count { pieces.append(Int.random(in: 1...9, using: &random)) }
            let cut = Self.scan(bytes, pieces: pieces)
            check(whole.outcome == cut.outcome)
            if whole.outcome == .done { check(whole.end == cut.end && whole.payload == cut.payload) }
        }
    }

    private static func scan(_ bytes: [UInt8], pieces: [Int])
        -> (outcome: ChunkScanner.Outcome, end: Int, payload: [UInt8])
    {
        var scanner = ChunkScanner()
        var at = 0
        var payload: [UInt8] = []
        for piece in pieces where at < bytes.count {
            let part = Array(bytes[at..<min(bytes.count, at + piece)])
            let outcome = part.withUnsafeBufferPointer { buffer in
                scanner.scan(buffer.baseAddress!, count: buffer.count) { offset, length in
                    payload += part[offset..<offset + length]
                }
            }
            if outcome == .done { return (.done, at + scanner.consumed, payload) }
            if outcome == .bad { return (.bad, 0, []) }
            at += part.count
        }
        return (.more, at, payload)
    }

    @Test func namePackets() {
        var random = Generator(state: 4)
        let zone = NameZone(address: [127, 0, 0, 1], responderAddress: [127, 0, 0, 1])
        zone.replace(suffix: "svc.internal", names: ["web"])
        func name(_ labels: String...) -> [UInt8] {
            var out: [UInt8] = []
            for label in labels { out += [UInt8(label.utf8.count)] + Array(label.utf8) }
            return out + [0]
        }
        let head: [UInt8] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0]
        let seeds: [[UInt8]] = [
            head + [0] + name("web", "svc", "internal") + [0, 1, 0, 1],
            head + [1] + name("web", "svc", "internal") + [0, 28, 0, 1] + [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0],
            head + [1] + name("no", "svc", "internal") + [0, 255, 0, 1] + [
                0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 4, 1, 2, 0, 0,
            ],
            head + [0] + name("svc", "internal") + [0, 6, 0, 1], head + [0, 0, 0, 1, 0, 1],
        ]
        var answered = 0
        for _ in 0..<200_000 {
            let packet = Self.mutate(seeds, &random)
            guard let answer = zone.answer(packet, isStream: false) else { continue }
            answered += 1
            check(answer.count >= 12 && answer.count <= 1232)
            check(answer[2] & 0x80 != 0)
            check(answer.prefix(2).elementsEqual(packet.prefix(2)))
        }
        #expect(answered > 50_000)
    }

    /// Pure noise, in case the seeds are too tame.
    @Test func noise() {
        var random = Generator(state: 5)
        let zone = NameZone(address: [127, 0, 0, 1], responderAddress: [127, 0, 0, 1])
        var request = RequestHead()
        var response = ResponseHead()
        for _ in 0..<100_000 {
            let noise = (0..<Int.random(in: 1...64, using: &random)).map { _ in
                UInt8.random(in: .min ... .max, using: &random)
            }
            noise.withUnsafeBufferPointer { buffer in
                _ = RequestHeadParser.parse(buffer.baseAddress!, count: buffer.count, into: &request)
                _ = ResponseHeadParser.parse(buffer.baseAddress!, count: buffer.count, into: &response)
                var scanner = ChunkScanner()
                _ = scanner.scan(buffer.baseAddress!, count: buffer.count)
            }
            _ = zone.answer(noise, isStream: true)
            _ = StaticFolder.components(noise)
        }
    }

    @Test func pathsNeverLeaveTheRoot() {
        var random = Generator(state: 6)
        let pieces = ["/", "..", ".", "%2e", "%2E", "%2f", "a", "%61", "%", "%%", "//", "~", "%7e"]
        for _ in 0..<100_000 {
            let text =
                "/"
                + (0..<Int.random(in: 0...8, using: &random)).map { _ in
                    pieces.randomElement(using: &random)!
                }.joined()
            let bytes = Array(text.utf8)
            let normal = bytes.withUnsafeBufferPointer { PathNormaliser.normalised($0.baseAddress!, count: $0.count) }
            guard let normal else { continue }
            check(normal.first == UInt8(ascii: "/"))
            check(!normal.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) })
            let isStable = normal.withUnsafeBufferPointer { !PathNormaliser.isNeeded($0.baseAddress!, count: $0.count) }
            check(isStable)
        }
    }
}
