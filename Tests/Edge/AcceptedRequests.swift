extension RequestTable {
    private static let host = "Host: example.com\r\n"
    private static let get = "GET / HTTP/1.1"

    /// Unusual but right: all of these must reach the upstream, and what follows them too.
    static let accepted: [RequestRow] = [
        .passed("plain", "GET / HTTP/1.1\r\n\(host)\r\n", [get]),
        .passed("one empty line in front", "\r\nGET / HTTP/1.1\r\n\(host)\r\n", [get]),
        .passed("two empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\n\(host)\r\n", [get]),
        .passed("HTTP/1.2", "GET / HTTP/1.2\r\n\(host)\r\n", [get]),
        .passed("other method", "PROPFIND / HTTP/1.1\r\n\(host)\r\n", ["PROPFIND / HTTP/1.1"]),
        .passed("method in lower case", "get / HTTP/1.1\r\n\(host)\r\n", ["get / HTTP/1.1"]),
        .passed("DELETE", "DELETE /a HTTP/1.1\r\n\(host)\r\n", ["DELETE /a HTTP/1.1"]),
        .passed("value with UTF-8", "GET / HTTP/1.1\r\n\(host)A: ü\r\n\r\n", [get]),
        .passed("value with a tab", "GET / HTTP/1.1\r\n\(host)A: b\tc\r\n\r\n", [get]),
        .passed("empty value", "GET / HTTP/1.1\r\n\(host)A:\r\n\r\n", [get]),
        .passed("no space after the colon", "GET / HTTP/1.1\r\nHost:example.com\r\n\r\n", [get]),
        .passed("white space around a value", "GET / HTTP/1.1\r\nHost: \t example.com \t \r\n\r\n", [get]),
        .passed("Host with a port", "GET / HTTP/1.1\r\nHost: example.com:8080\r\n\r\n", [get]),
        .passed("Host with an empty port", "GET / HTTP/1.1\r\nHost: example.com:\r\n\r\n", [get]),
        .passed("Host in IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", [get]),
        .passed("Host with a final dot", "GET / HTTP/1.1\r\nHost: example.com.\r\n\r\n", [get]),
        .passed("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", [get]),
        .passed("100 fields", "GET / HTTP/1.1\r\n\(host)" + String(repeating: "A: b\r\n", count: 99) + "\r\n", [get]),
        .passed("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", [get], goesOn: false),
        .passed("HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [get]),
        .passed("Connection: close", "GET / HTTP/1.1\r\n\(host)Connection: close\r\n\r\n", [get], goesOn: false),
        .passed("Connection: a, Close", "GET / HTTP/1.1\r\n\(host)Connection: a, Close\r\n\r\n", [get], goesOn: false),
        .passed("absolute form", "GET http://other.com/a?b HTTP/1.1\r\n\(host)\r\n", ["GET /a?b HTTP/1.1"]),
        .passed("absolute form without a path", "GET http://other.com HTTP/1.1\r\n\(host)\r\n", [get]),
        .passed(
            "absolute form with a query only", "GET http://other.com?a HTTP/1.1\r\n\(host)\r\n", ["GET /?a HTTP/1.1"]),
        .passed("asterisk", "OPTIONS * HTTP/1.1\r\n\(host)\r\n", ["OPTIONS * HTTP/1.1"]),
        .passed("dot segments", "GET /a/./b/../c HTTP/1.1\r\n\(host)\r\n", ["GET /a/c HTTP/1.1"]),
        .passed("escaped letters", "GET /%61%62 HTTP/1.1\r\n\(host)\r\n", ["GET /ab HTTP/1.1"]),
        .passed("escapes that must stay", "GET /a%2Fb%20c HTTP/1.1\r\n\(host)\r\n", ["GET /a%2Fb%20c HTTP/1.1"]),
        .passed("two slashes", "GET //a HTTP/1.1\r\n\(host)\r\n", ["GET //a HTTP/1.1"]),
        .passed("question mark alone", "GET /? HTTP/1.1\r\n\(host)\r\n", ["GET /? HTTP/1.1"]),
        .passed("dots in a query", "GET /a?b=../c HTTP/1.1\r\n\(host)\r\n", ["GET /a?b=../c HTTP/1.1"]),
        .passed(
            "target of 8 KiB", "GET /\(String(repeating: "a", count: 8191)) HTTP/1.1\r\n\(host)\r\n",
            ["GET /\(String(repeating: "a", count: 8191)) HTTP/1.1"]),
        .passed("length 0", "POST / HTTP/1.1\r\n\(host)Content-Length: 0\r\n\r\n", ["POST / HTTP/1.1"]),
        .passed(
            "length with zeros in front", "POST / HTTP/1.1\r\n\(host)Content-Length: 005\r\n\r\nhello",
            ["POST / HTTP/1.1"]),
        .passed(
            "body that looks like a request",
            "POST / HTTP/1.1\r\n\(host)Content-Length: 29\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
                .replacingLength(),
            ["POST / HTTP/1.1"]),
        .passed("GET with a body", "GET / HTTP/1.1\r\n\(host)Content-Length: 5\r\n\r\nhello", [get]),
        .passed(
            "chunks", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ["POST / HTTP/1.1"]),
        .passed(
            "chunks in capitals",
            "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
            ["POST / HTTP/1.1"]),
        .passed(
            "chunk with an extension",
            "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\n\r\n",
            ["POST / HTTP/1.1"]),
        .passed(
            "chunk size with zeros in front",
            "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n000\r\n\r\n",
            ["POST / HTTP/1.1"]),
        .passed(
            "trailer", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC:\r\n\r\n",
            ["POST / HTTP/1.1"]),
        .passed(
            "chunks that look like a request",
            "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n"
                + "1f\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n",
            ["POST / HTTP/1.1"]),
        .passed("three at once", String(repeating: "GET / HTTP/1.1\r\n\(host)\r\n", count: 3), [get, get, get]),
        .passed(
            "length disguised by an underscore",
            "GET / HTTP/1.1\r\n\(host)Content_Length: 50\r\nTransfer_Encoding: chunked\r\n\r\n", [get]),
        .passed(
            "Connection names the length",
            "POST / HTTP/1.1\r\n\(host)Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
            ["POST / HTTP/1.1"]),
        .passed("Connection names Host", "GET / HTTP/1.1\r\n\(host)Connection: host\r\n\r\n", [get]),
        .passed(
            "upgrade to HTTP/2 is passed over",
            "GET / HTTP/1.1\r\n\(host)Connection: Upgrade, HTTP2-Settings\r\n"
                + "Upgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
            [get]),
    ]
}

extension String {
    /// Makes the only `Content-Length` say how many bytes follow the head.
    fileprivate func replacingLength() -> String {
        let bytes = Array(utf8)
        var end = 0
        while end + 4 <= bytes.count, !bytes[end..<end + 4].elementsEqual("\r\n\r\n".utf8) { end += 1 }
        let body = bytes.count - end - 4
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n").map {
            $0.hasPrefix("Content-Length") ? "Content-Length: \(body)" : String($0)
        }
        return lines.joined(separator: "\r\n") + String(decoding: bytes[end...], as: UTF8.self)
    }
}
