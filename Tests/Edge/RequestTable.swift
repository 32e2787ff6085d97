import Testing

/// A request, and what must become of it. Each is sent with a well-formed request behind it: when the first is refused,
/// the second must never be seen by the upstream.
struct RequestRow: Sendable, CustomTestStringConvertible {
    var name: String
    var bytes: [UInt8]
    /// Statuses of all responses up to the end of the connection, without that of the request behind it.
    var statuses: [Int]
    /// Request lines that the upstream must see, without that of the request behind it.
    var upstreamLines: [String]
    /// The request behind it is served too.
    var goesOn: Bool

    var testDescription: String { name }

    static func refused(_ name: String, _ raw: String, _ status: Int = 400) -> RequestRow {
        refused(name, bytes: Array(raw.utf8), status)
    }

    static func refused(_ name: String, bytes: [UInt8], _ status: Int = 400) -> RequestRow {
        RequestRow(name: name, bytes: bytes, statuses: [status], upstreamLines: [], goesOn: false)
    }

    static func passed(_ name: String, _ raw: String, _ lines: [String], goesOn: Bool = true) -> RequestRow {
        RequestRow(
            name: name, bytes: Array(raw.utf8), statuses: lines.map { _ in 200 }, upstreamLines: lines, goesOn: goesOn)
    }
}

/// The table, in groups.
enum RequestTable {
    static let all: [RequestRow] =
        requestLines + targets + hosts + fieldNames + controlCharacters + lengths + transferEncodings + chunks + limits
        + accepted

    private static let host = "Host: example.com\r\n"

    static let requestLines: [RequestRow] = [
        .refused("empty method", " / HTTP/1.1\r\n\(host)\r\n"),
        .refused("method with a colon", "GE:T / HTTP/1.1\r\n\(host)\r\n"),
        .refused("method with a slash", "GET/ HTTP/1.1\r\n\(host)\r\n"),
        .refused("method in quotes", "\"GET\" / HTTP/1.1\r\n\(host)\r\n"),
        .refused("method of 33 bytes", String(repeating: "A", count: 33) + " / HTTP/1.1\r\n\(host)\r\n"),
        .refused("two spaces after the method", "GET  / HTTP/1.1\r\n\(host)\r\n"),
        .refused("tab after the method", "GET\t/ HTTP/1.1\r\n\(host)\r\n"),
        .refused("two spaces before the version", "GET /  HTTP/1.1\r\n\(host)\r\n"),
        .refused("space in the target", "GET /a b HTTP/1.1\r\n\(host)\r\n"),
        .refused("no version", "GET /\r\n\(host)\r\n"),
        .refused("no target", "GET HTTP/1.1\r\n\(host)\r\n"),
        .refused("space after the version", "GET / HTTP/1.1 \r\n\(host)\r\n"),
        .refused("lower-case version", "GET / http/1.1\r\n\(host)\r\n"),
        .refused("version without a dot", "GET / HTTP/11\r\n\(host)\r\n\r\n\r\n"),
        .refused("version of two digits", "GET / HTTP/1.10\r\n\(host)\r\n"),
        .refused("version with a letter", "GET / HTTP/1.x\r\n\(host)\r\n"),
        .refused("HTTP/2.0", "GET / HTTP/2.0\r\n\(host)\r\n", 505),
        .refused("HTTP/0.9 spelt out", "GET / HTTP/0.9\r\n\(host)\r\n", 505),
        .refused("HTTP/3.0", "GET / HTTP/3.0\r\n\(host)\r\n", 505),
        .refused("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        .refused("other protocol", "GET / ICAP/1.0\r\n\(host)\r\n"),
        .refused("request line ends in LF", "GET / HTTP/1.1\n\(host)\r\n"),
        .refused("request line ends in CR", "GET / HTTP/1.1\r\(host)\r\n"),
        .refused("CR CR LF", "GET / HTTP/1.1\r\r\n\(host)\r\n"),
        .refused("LF before the request", "\nGET / HTTP/1.1\r\n\(host)\r\n"),
        .refused("CR before the request", "\rGET / HTTP/1.1\r\n\(host)\r\n"),
        .refused("three empty lines before the request", "\r\n\r\n\r\nGET / HTTP/1.1\r\n\(host)\r\n"),
        .refused("space before the request", " GET / HTTP/1.1\r\n\(host)\r\n"),
        .refused("NUL in the method", "G\0T / HTTP/1.1\r\n\(host)\r\n"),
        .refused("NUL in the target", "GET /\0 HTTP/1.1\r\n\(host)\r\n"),
        .refused("delete in the target", "GET /\u{7F} HTTP/1.1\r\n\(host)\r\n"),
        .refused("UTF-8 in the target", "GET /ü HTTP/1.1\r\n\(host)\r\n"),
        .refused("start of a TLS handshake", bytes: [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3] + Array("\r\n\r\n".utf8)),
        .refused("CONNECT", "CONNECT example.com:443 HTTP/1.1\r\n\(host)\r\n", 405),
        .refused("CONNECT with a path", "CONNECT / HTTP/1.1\r\n\(host)\r\n", 405),
        .refused("TRACE", "TRACE / HTTP/1.1\r\n\(host)\r\n", 405),
    ]

    static let targets: [RequestRow] = [
        .refused("fragment", "GET /#a HTTP/1.1\r\n\(host)\r\n"),
        .refused("path without a slash", "GET a HTTP/1.1\r\n\(host)\r\n"),
        .refused("authority form for GET", "GET example.com:80 HTTP/1.1\r\n\(host)\r\n"),
        .refused("asterisk for GET", "GET * HTTP/1.1\r\n\(host)\r\n"),
        .refused("asterisk and more", "OPTIONS *a HTTP/1.1\r\n\(host)\r\n"),
        .refused("absolute form of ftp", "GET ftp://example.com/ HTTP/1.1\r\n\(host)\r\n"),
        .refused("absolute form without a host", "GET http:/// HTTP/1.1\r\n\(host)\r\n"),
        .refused("absolute form with a user", "GET http://a@example.com/ HTTP/1.1\r\n\(host)\r\n"),
        .refused("absolute form with a bad port", "GET http://example.com:x/ HTTP/1.1\r\n\(host)\r\n"),
        .refused("absolute form without Host", "GET http://example.com/ HTTP/1.1\r\n\r\n"),
        .refused("path above the root", "GET /../a HTTP/1.1\r\n\(host)\r\n"),
        .refused("path above the root in disguise", "GET /%2e%2e/a HTTP/1.1\r\n\(host)\r\n"),
        .refused("path above the root in half a disguise", "GET /a/.%2E/../b HTTP/1.1\r\n\(host)\r\n"),
        .refused("escape that ends early", "GET /%4 HTTP/1.1\r\n\(host)\r\n"),
        .refused("escape with other letters", "GET /%zz HTTP/1.1\r\n\(host)\r\n"),
        .refused(
            "target of 8193 bytes", "GET /" + String(repeating: "a", count: 8192) + " HTTP/1.1\r\n\(host)\r\n", 414),
        .refused("target without end", "GET /" + String(repeating: "a", count: 9000), 414),
    ]

    static let hosts: [RequestRow] =
        [
            .refused("no Host", "GET / HTTP/1.1\r\n\r\n"),
            .refused("two Hosts", "GET / HTTP/1.1\r\n\(host)Host: other.com\r\n\r\n"),
            .refused("the same Host twice", "GET / HTTP/1.1\r\n\(host)\(host)\r\n"),
            .refused("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n\(host)\(host)\r\n"),
            .refused("two Hosts, one in capitals", "GET / HTTP/1.1\r\nHOST: a.com\r\nhost: b.com\r\n\r\n"),
        ]
        + [
            "a b", "a/b", "a,b", "a@b", "a?b", "a#b", "http://a", "a:b", "a:80:80", "a:123456", ":80", "[::1",
            "[::g]", "[]", "a\\b", "a%41", "a\"b", "<a>", "a;b", "ü.com", "a:-1", "a:+80", "a: 80",
        ].map { .refused("Host is \($0)", "GET / HTTP/1.1\r\nHost: \($0)\r\n\r\n") }

    static let fieldNames: [RequestRow] =
        [
            .refused("space before the colon", "GET / HTTP/1.1\r\nHost : a.com\r\n\r\n"),
            .refused("tab before the colon", "GET / HTTP/1.1\r\n\(host)A\t: b\r\n\r\n"),
            .refused(
                "length with a space before the colon", "POST / HTTP/1.1\r\n\(host)Content-Length : 5\r\n\r\nhello"),
            .refused("no colon", "GET / HTTP/1.1\r\n\(host)abc\r\n\r\n"),
            .refused("empty name", "GET / HTTP/1.1\r\n\(host): b\r\n\r\n"),
            .refused("folded line", "GET / HTTP/1.1\r\n\(host)A: b\r\n c\r\n\r\n"),
            .refused("folded line with a tab", "GET / HTTP/1.1\r\n\(host)A: b\r\n\tc\r\n\r\n"),
            .refused("fold of the first line", "GET / HTTP/1.1\r\n \(host)\r\n"),
            .refused(
                "folded "
                    + "Transfer-Encoding", "POST / HTTP/1.1\r\n\(host)Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
            .refused("field ends in LF", "GET / HTTP/1.1\r\n\(host)A: b\nC: d\r\n\r\n"),
            .refused("field ends in CR", "GET / HTTP/1.1\r\n\(host)A: b\rC: d\r\n\r\n"),
            .refused("head ends in LF LF", "GET / HTTP/1.1\n\(host.dropLast(2))\n\n"),
            .refused("head ends in CR LF LF", "GET / HTTP/1.1\r\n\(host)\n"),
            .refused("NUL in a name", "GET / HTTP/1.1\r\n\(host)A\0: b\r\n\r\n"),
            .refused("UTF-8 in a name", "GET / HTTP/1.1\r\n\(host)Ä: b\r\n\r\n"),
        ]
        + "\"(),/;<=>?@[\\]{}".map {
            .refused("name with \($0)", "GET / HTTP/1.1\r\n\(host)A\($0)B: c\r\n\r\n")
        }

    /// Every control character in a value, tab excepted.
    static let controlCharacters: [RequestRow] = (Array(UInt8(0)...0x1F) + [0x7F]).filter { $0 != 9 }.map { code in
        .refused(
            "value with the character \(code)",
            bytes: Array("GET / HTTP/1.1\r\n\(host)A: b".utf8) + [code] + Array("c\r\n\r\n".utf8))
    }

    static let lengths: [RequestRow] =
        [
            "-1", "+5", "0x5", "5 5", "5,5", "5, 5", "5,6", "", "a", "5a", "5;a", "١", "1e3", "0.5", "5_0",
            "9999999999999999999", "18446744073709551616", "\"5\"", ";5",
        ].map { .refused("Content-Length is \($0)", "POST / HTTP/1.1\r\n\(host)Content-Length: \($0)\r\n\r\nhello") }
        + [
            .refused(
                "differing lengths", "POST / HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
            .refused("a length twice", "POST / HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            .refused(
                "length and chunks",
                "POST / HTTP/1.1\r\n\(host)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            .refused(
                "chunks and length",
                "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
            .refused(
                "chunks and length 0",
                "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
        ]

    static let transferEncodings: [RequestRow] =
        [
            "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "chunked,", ", chunked", "identity",
            "identity, chunked", "xchunked", "chunkedx", "chunked;a=b", "\"chunked\"", "chunk", "", "cow",
            "chunked foo",
            "\u{0B}chunked",
        ].map {
            .refused(
                "Transfer-Encoding is \($0.debugDescription)",
                "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: \($0)\r\n\r\n0\r\n\r\n")
        } + [
            .refused(
                "Transfer-Encoding twice",
                "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            .refused(
                "Transfer-Encoding twice, one unknown",
                "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"),
            .refused(
                "chunks in HTTP/1.0", "POST / HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ]

    static let chunks: [RequestRow] =
        [
            "x\r\n", "-1\r\n", "+1\r\na\r\n0\r\n\r\n", "0x1\r\na\r\n0\r\n\r\n", " 1\r\na\r\n0\r\n\r\n", "\r\n0\r\n\r\n",
            "1\na\r\n0\r\n\r\n", "1\r\na\n0\r\n\r\n", "1\r\nab\r\n0\r\n\r\n", "1\r\na0\r\n\r\n", "1\ra\r\n0\r\n\r\n",
            "1111111111111111\r\na", "fffffffffffffffff\r\na", "1;a\nb\r\na\r\n0\r\n\r\n", "1;a\u{1}\r\na\r\n0\r\n\r\n",
            "1 a\r\na\r\n0\r\n\r\n", "0\r\n: a\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\nA: b\n\r\n", "0\r\n A: b\r\n\r\n",
            "0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nHost: b\r\n\r\n",
            "0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", "0\r\n\n", "0\n\r\n",
            "1;\(String(repeating: "a", count: 300))\r\n",
            "0\r\n\(String(repeating: "A: bbbbbbbb\r\n", count: 700))\r\n",
        ].map {
            .refused(
                "chunks \($0.prefix(40).debugDescription)",
                "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n\($0)")
        }

    static let limits: [RequestRow] = [
        .refused("101 fields", "GET / HTTP/1.1\r\n\(host)" + String(repeating: "A: b\r\n", count: 100) + "\r\n", 431),
        .refused(
            "a field of 33 KiB", "GET / HTTP/1.1\r\n\(host)A: \(String(repeating: "b", count: 33_000))\r\n\r\n", 431),
        .refused(
            "a name of 33 KiB", "GET / HTTP/1.1\r\n\(host)\(String(repeating: "b", count: 33_000)): a\r\n\r\n", 431),
        .refused(
            "a head of 33 KiB",
            "GET / HTTP/1.1\r\n\(host)" + String(repeating: "A: \(String(repeating: "b", count: 995))\r\n", count: 33)
                + "\r\n", 431),
    ]
}
