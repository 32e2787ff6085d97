import Model
import NIOCore
import Synchronization

/// An answer of the edge itself: a plain page for people, JSON for programs that ask for it.
struct AnswerPage {
    let status: UInt16
    var upstreamName: String?
    var since: String?
    var isHeld = false
    /// It is being started for this request, and the page asks again by itself.
    var isWaiting = false
    /// A limit or rule of the route, not a failure of the service.
    var isPolicy = false
    /// Who decides whether the request may pass did not answer.
    var isUndecided = false
    /// The circuit breaker refuses requests.
    var isResting = false
    var retryAfterSeconds: Int?
    var wantsJSON = false
    var requestId: (UInt64, UInt64) = (0, 0)

    init(status: UInt16, upstream: RoutingTable.Upstream? = nil, retryAfterSeconds: Int? = nil) {
        self.status = status
        self.retryAfterSeconds = retryAfterSeconds
        guard let upstream else { return }
        upstreamName = upstream.name
        isHeld = upstream.mode == .hold
        if let downSince = upstream.downSince {
            since = downSince.rfc3339
        } else {
            let failing = upstream.state.failingSince.load(ordering: .relaxed)
            if failing != 0 { since = Timestamp(millisecondsSinceEpoch: failing).rfc3339 }
        }
    }

    static func reason(_ status: UInt16) -> String {
        switch status {
        case 200: "OK"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 416: "Range Not Satisfiable"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }

    private var sentence: String {
        let name = upstreamName.map { "The service “\($0)”" } ?? "The service"
        switch status {
        case 300..<400: return "It is somewhere else."
        case 400: return "The request could not be understood."
        case 401: return "This needs a name and a password, or a token."
        case 403: return "This is not for you to see."
        case 404: return "There is nothing here."
        case 405: return "This method cannot be used here."
        case 408: return "The request did not arrive in time."
        case 413: return "The body of the request is too large."
        case 414: return "The address is too long."
        case 429: return "These were too many requests. Try again in a moment."
        case 431: return "The head of the request is too large."
        case 502: return "\(name) is not answering."
        case 503: return unavailableSentence(name)
        case 504: return "\(name) took too long to answer."
        case 505: return "Only HTTP/1.0 and HTTP/1.1 are spoken here."
        default: return "The request could not be served."
        }
    }

    private func unavailableSentence(_ name: String) -> String {
        if isWaiting { return "\(name) is starting." }
        if isHeld { return "\(name) is being switched over. Try again in a moment." }
        if isUndecided { return "Nobody answers who could say whether you may see this. Try again in a moment." }
        if isPolicy { return "There is too much to do right now. Try again in a moment." }
        if isResting { return "\(name) failed too often and is given a rest. Try again in a moment." }
        return "\(name) is down."
    }

    private var code: String {
        switch status {
        case 300..<400: "redirect"
        case 401: "unauthenticated"
        case 403: "forbidden"
        case 413: "too_large"
        case 429: "rate_limited"
        case 503 where isPolicy: "overloaded"
        case 503 where isUndecided: "access_undecided"
        case 503 where isWaiting: "starting"
        case 404: "not_found"
        case 405: "method_not_allowed"
        case 502: "upstream_failed"
        case 503: "upstream_unavailable"
        case 504: "upstream_timeout"
        case 500...: "internal_error"
        default: "bad_request"
        }
    }

    /// The whole response.
    func response(isHead: Bool, fields: String) -> ByteBuffer {
        let content = wantsJSON ? json : html
        var text = "HTTP/1.1 \(status) \(Self.reason(status))\r\n"
        text += "Content-Type: \(wantsJSON ? "application/json" : "text/html; charset=utf-8")\r\n"
        text += "Content-Length: \(content.utf8.count)\r\nCache-Control: no-store\r\n"
        text += "X-Content-Type-Options: nosniff\r\n"
        if let retryAfterSeconds { text += "Retry-After: \(retryAfterSeconds)\r\n" }
        text += fields
        text += "\r\n"
        if !isHead { text += content }
        return ByteBuffer(string: text)
    }

    private var idText: String {
        func hex(_ value: UInt64) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return hex(requestId.0) + hex(requestId.1)
    }

    /// As the hub's API says what is wrong, and what there is to know besides.
    private var json: String {
        var members: [String: JSONValue] = [
            "error": .string(sentence), "code": .string(code), "request_id": .string(idText),
        ]
        if let upstreamName { members["service"] = .string(upstreamName) }
        if let since { members["since"] = .string(since) }
        return JSONValue.object(members).canonicalText + "\n"
    }

    private var html: String {
        let sinceLine = since.map { "<p>Since <time datetime=\"\($0)\">\(Self.readable($0))</time>.</p>" } ?? ""
        let waiting = isWaiting ? "<p>This page asks again by itself.</p>" : ""
        let retry = status >= 500 ? "<p><a href=\"\">Try again</a></p>" : ""
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            \(isWaiting ? "<meta http-equiv=\"refresh\" content=\"2\">" : "")\
            <title>\(status) \(Self.reason(status))</title>
            <style>
            :root{color-scheme:light dark;--ink:#1c2430;--quiet:#667085;--paper:#fbfaf8;--line:#e4e1da;--mark:#b4532a}
            @media(prefers-color-scheme:dark){:root{--ink:#e8e6e1;--quiet:#98a1b0;--paper:#16181d;--line:#2c3038;\
            --mark:#e58a5c}}
            body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);
            font:1.05rem/1.6 system-ui,sans-serif}
            main{max-width:34rem;margin:2rem;padding:2rem 2.2rem;border:1px solid var(--line);border-radius:.8rem;
            border-top:4px solid var(--mark)}
            h1{font-size:1.35rem;line-height:1.35;margin:0 0 .6rem}p{margin:.4rem 0;color:var(--quiet)}
            a{color:var(--mark)}small{font-size:.78rem;color:var(--quiet)}
            </style></head><body><main><p>\(status) \(Self.reason(status))</p>
            <h1>\(sentence.escapedForHTML)</h1>\(sinceLine)\(waiting)\(retry)\
            <small>Request \(idText)</small></main></body></html>

            """
    }

    /// `2026-03-01 12:00:00 UTC` of an RFC 3339 time.
    private static func readable(_ time: String) -> String {
        String(time.prefix(19)).split(separator: "T").joined(separator: " ") + " UTC"
    }

    /// Whether a request head asks for JSON and not for HTML.
    static func prefersJSON(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        accept(bytes, count).map { $0.contains("json") && !$0.contains("html") } ?? false
    }

    /// Whether a request head comes from a browser that goes to a page.
    static func acceptsHTML(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        accept(bytes, count)?.contains("text/html") ?? false
    }

    /// Up to the end of the head, empty lines in front of it left out.
    private static func accept(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> String? {
        var start = 0
        var isInside = false
        while start < count {
            var end = start
            while end < count, bytes[end] != ByteClass.lf { end += 1 }
            if end - start > 1 { isInside = true } else if isInside { return nil }
            if end - start > 7, (bytes + start).equalsIgnoringCase("accept:", count: 7) {
                return (bytes + start).string(ByteRange(start: 7, end: end - start)).lowercased()
            }
            start = end + 1
        }
        return nil
    }
}

extension ClientConnection {
    /// The length of the head of a whole response.
    static func headBytes(_ response: ByteBuffer) -> Int {
        let view = response.readableBytesView
        var index = view.startIndex
        while index + 3 < view.endIndex {
            if view[index] == ByteClass.cr, view[index + 2] == ByteClass.cr { return index + 4 - view.startIndex }
            index += 1
        }
        return view.count
    }
}
