import NIOCore

extension ClientConnection {
    /// Answers with what the edge counts. The other loops are asked for it, and the request waits meanwhile.
    func serveMetrics() {
        guard request.method == .get || request.method == .head else {
            return answerAndConsume(AnswerPage(status: 405), fields: "Allow: GET, HEAD\r\n")
        }
        guard let source = loop.table.metrics else { return answerAndConsume(AnswerPage(status: 503)) }
        consumeHead()
        phase = .waiting
        deadline = loop.coarseNow &+ loop.times.responseHeadTimeout
        let id = request.id
        source.text(on: loop.eventLoop).assumeIsolated().whenComplete { result in
            guard self.phase == .waiting, self.request.id == id else { return }
            switch result {
            case .success(let text): self.answerMetrics(text)
            case .failure: self.answer(AnswerPage(status: 503, retryAfterSeconds: 5))
            }
        }
    }

    private func answerMetrics(_ text: String) {
        if !request.isSent { request.keepAlive = false }
        request.status = 200
        let buffer = ByteBuffer(
            string: "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                + "Cache-Control: no-store\r\nContent-Length: \(text.utf8.count)\r\n"
                + "\(loop.date.line)\(connectionLine)\r\n")
        write(edited(buffer, headBytes: buffer.readableBytes))
        if request.method != .head { write(ByteBuffer(string: text)) }
        settle()
        flush()
        guard phase != .closed else { return }
        finishRequest()
    }
}
