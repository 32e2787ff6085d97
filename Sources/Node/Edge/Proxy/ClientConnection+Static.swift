import Glibc
import Model
import NIOCore

extension ClientConnection {
    static let sendChunkBytes = 1024 * 1024

    /// Serves a file below `folder` for the request whose head is at the front of `inbound`.
    func serveFile(_ folder: StaticFolder, _ plan: StaticPlan?, path: [UInt8]?, stripCount: Int) {
        guard request.method == .get || request.method == .head else {
            consumeHead()
            return answer(AnswerPage(status: 405), fields: "Allow: GET, HEAD\r\n")
        }
        var conditions = StaticAnswer.Conditions()
        var full: [UInt8] = []
        var query: [UInt8] = []
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            conditions = readConditions(bytes)
            func copy(_ start: Int, _ end: Int) -> [UInt8] {
                Array(UnsafeBufferPointer(start: bytes + start, count: end - start))
            }
            let head = (loop.requestHead.pathOnly, loop.requestHead.path.end)
            full = path ?? copy(head.0.start, head.0.end)
            query = copy(head.0.end, head.1)
        }
        if full.first != ByteClass.slash { full = [ByteClass.slash] }
        let inside = stripCount >= full.count ? [ByteClass.slash] : Array(full.dropFirst(stripCount))
        if let plan {
            if !serve(folder, plan, path: inside, conditions) { redirect(to: full, query) }
            return
        }
        let now = request.startedAt
        let key = StaticFileCache.Key(folder: folder.path, path: inside)
        if let entry = loop.files.find(key, now: now) {
            consumeHead()
            return send(entry, conditions)
        }
        switch folder.open(inside) {
        case .missing: answerAndConsume(AnswerPage(status: 404))
        case .folderWithoutSlash: redirect(to: full, query)
        case .file(let file) where file.size <= StaticFileCache.fileBytesMax:
            let entry = loop.files.load(file, key, now: now)
            Glibc.close(file.descriptor)
            guard let entry else { return answerAndConsume(AnswerPage(status: 500)) }
            consumeHead()
            send(entry, conditions)
        case .file(let file):
            consumeHead()
            send(file, conditions)
        }
    }

    private func readConditions(_ bytes: UnsafePointer<UInt8>) -> StaticAnswer.Conditions {
        var conditions = StaticAnswer.Conditions()
        for index in 0..<loop.requestHead.fieldCount {
            let field = loop.requestHead.fields[index]
            switch field.id {
            case .ifNoneMatch: conditions.ifNoneMatch = bytes.string(field.value)
            case .ifModifiedSince: conditions.ifModifiedSince = bytes.string(field.value)
            case .ifMatch: conditions.ifMatch = bytes.string(field.value)
            case .ifUnmodifiedSince: conditions.ifUnmodifiedSince = bytes.string(field.value)
            // A range is of GET only (RFC 9110 section 14.2).
            case .range where request.method == .get: conditions.range = bytes.string(field.value)
            case .ifRange: conditions.ifRange = bytes.string(field.value)
            default: break
            }
        }
        return conditions
    }

    /// To the same path with a slash. One slash in front only, or the browser would take the rest for a host.
    private func redirect(to path: [UInt8], _ query: [UInt8]) {
        let location = [ByteClass.slash] + path.drop { $0 == ByteClass.slash } + [ByteClass.slash] + query
        consumeHead()
        answer(AnswerPage(status: 301), fields: "Location: \(String(decoding: location, as: UTF8.self))\r\n")
    }

    private func head(_ answer: StaticAnswer, size: Int, etag: String, lastModified: String, type: String)
        -> ByteBuffer
    {
        request.status = answer.status == 200 ? staticStatus : answer.status
        if !request.isSent { request.keepAlive = false }
        var text = "HTTP/1.1 \(request.status) \(AnswerPage.reason(request.status))\r\n"
        if answer.status != 304 {
            text += "Content-Type: \(type)\r\nContent-Length: \(answer.range.count)\r\nAccept-Ranges: bytes\r\n"
        }
        text += "ETag: \(etag)\r\nLast-Modified: \(lastModified)\r\nX-Content-Type-Options: nosniff\r\n"
        if answer.status == 206 {
            text += "Content-Range: bytes \(answer.range.lowerBound)-\(answer.range.upperBound - 1)/\(size)\r\n"
        } else if answer.status == 416 {
            text += "Content-Range: bytes */\(size)\r\n"
        }
        text += loop.date.line
        text += connectionLine
        if answer.status != 416 { text += staticFields }
        let head = ByteBuffer(string: text + "\r\n")
        return policy == nil ? head : edited(head, headBytes: head.readableBytes)
    }

    func send(_ entry: StaticFileCache.Entry, _ conditions: StaticAnswer.Conditions) {
        let size = entry.content.readableBytes
        let answer = StaticAnswer.decide(
            size: size, etag: entry.etag, lastModified: entry.lastModified, conditions)
        var buffer = head(
            answer, size: size, etag: entry.etag, lastModified: entry.lastModified,
            type: staticType ?? entry.mediaType)
        if request.method != .head, !answer.range.isEmpty {
            let part = entry.content.getSlice(at: answer.range.lowerBound, length: answer.range.count)!
            if part.readableBytes <= 16 * 1024 {
                buffer.writeImmutableBuffer(part)
                write(buffer)
            } else {
                write(buffer)
                write(part)
            }
        } else {
            write(buffer)
        }
        ownAnswerWasWritten()
    }

    func send(_ file: StaticFolder.OpenedFile, _ conditions: StaticAnswer.Conditions) {
        let etag = StaticAnswer.etag(
            size: file.size, seconds: file.modifiedSeconds, nanoseconds: file.modifiedNanoseconds)
        let lastModified = Timestamp(millisecondsSinceEpoch: Int64(file.modifiedSeconds) * 1000).httpDate
        let answer = StaticAnswer.decide(size: file.size, etag: etag, lastModified: lastModified, conditions)
        write(
            head(
                answer, size: file.size, etag: etag, lastModified: lastModified,
                type: staticType ?? MediaTypes.type(ofFile: file.name)))
        guard request.method != .head, !answer.range.isEmpty else {
            Glibc.close(file.descriptor)
            return ownAnswerWasWritten()
        }
        phase = .sending
        guard transport.sendsFiles else { return sendRead(file.descriptor, answer.range) }
        sendNext(file.descriptor, answer.range)
    }

    /// One stretch after the other, so that a slow client is told from a dead one.
    private func sendNext(_ descriptor: Int32, _ range: Range<Int>) {
        guard phase == .sending, !range.isEmpty else {
            Glibc.close(descriptor)
            guard phase == .sending else { return }
            settle()
            return finishRequest()
        }
        touch()
        let end = min(range.upperBound, range.lowerBound + Self.sendChunkBytes)
        request.bytesOut &+= UInt64(end - range.lowerBound)
        writeOut(file: descriptor, range.lowerBound..<end) { isSent in
            if !isSent { self.closeNow() }
            self.sendNext(descriptor, end..<range.upperBound)
        }
        flush()
    }

    /// A whole answer was written in one go, within the loop over what is buffered.
    func ownAnswerWasWritten() {
        settle()
        flush()
        guard phase == .head else { return }
        if request.keepAlive, !loop.isDraining {
            request.hasBegun = false
            deadline = loop.coarseNow &+ loop.times.keepAliveTimeout
        } else {
            finishRequest()
        }
    }
}
