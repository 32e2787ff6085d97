import Glibc
import NIOCore

/// Answers to ACME HTTP-01 challenges (RFC 8555 section 8.3): a file for each token, put there by the agent. No table
/// has to change for one, and what is no challenge of ours goes on to its route.
struct ChallengeFolder: Sendable {
    static let pathPrefix: StaticString = "/.well-known/acme-challenge/"
    static let tokenBytesMax = 128
    static let answerBytesMax = 1024

    let path: String

    /// - Parameter target: the path of a request.
    /// - Returns: the key authorization for the token in it, or nil when we have none.
    func answer(_ target: UnsafePointer<UInt8>, count: Int) -> ByteBuffer? {
        let prefixCount = Self.pathPrefix.utf8CodeUnitCount
        guard count > prefixCount, count - prefixCount <= Self.tokenBytesMax,
            target.equalsIgnoringCase(Self.pathPrefix, count: prefixCount)
        else { return nil }
        let token = UnsafeBufferPointer(start: target + prefixCount, count: count - prefixCount)
        // base64url alone: no separator and no dot can lead out of the folder.
        guard token.allSatisfy({ ByteClass.isDigit($0) || ($0 | 0x20) &- 0x61 < 26 || $0 == 0x2D || $0 == 0x5F }) else {
            return nil
        }
        let file = path + "/" + String(decoding: token, as: UTF8.self)
        let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG,
            (1...Self.answerBytesMax).contains(Int(info.st_size))
        else { return nil }
        return FileBytes.read(descriptor, at: 0, count: Int(info.st_size))
    }
}

extension ClientConnection {
    /// Answers the request at the front of `inbound` when it asks for a challenge that is ours.
    ///
    /// An authority may ask before the route of its site is there. Nothing says then whose line of the access log it
    /// is, so the line does not name the host: it would outlive the site.
    /// - Returns: whether it did.
    func answersChallenge(isRouted: Bool) -> Bool {
        guard let challenges = loop.challenges, transport == .plain, !isInternal, request.framing == .none,
            request.method == .get || request.method == .head, loop.requestHead.pathOnly.count > 28
        else { return false }
        let answer = inbound.withUnsafeReadableBytes { raw in
            challenges.answer(
                raw.baseAddress!.assumingMemoryBound(to: UInt8.self) + loop.requestHead.pathOnly.start,
                count: loop.requestHead.pathOnly.count)
        }
        guard var content = answer else { return false }
        if !isRouted {
            inbound.withUnsafeReadableBytes { raw in
                writeLogLine(raw.baseAddress!.assumingMemoryBound(to: UInt8.self), nil, namesHost: false)
            }
        }
        consumeHead()
        request.status = 200
        var buffer = ByteBuffer(
            string: "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                + "Content-Length: \(content.readableBytes)\r\nCache-Control: no-store\r\n"
                + "\(loop.date.line)\(connectionLine)\r\n")
        if request.method == .get { buffer.writeBuffer(&content) }
        write(buffer)
        ownAnswerWasWritten()
        return true
    }
}
