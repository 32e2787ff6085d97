import AgentProtocol
import HTTPTypes
import HubCore

/// The head of a heartbeat, read from the bytes that came. Only what an agent sends is one: a head that can be
/// understood in two ways, or asks for anything besides, is left to the HTTP server.
struct HeartbeatHead {
    enum Outcome {
        case other
        /// So far it may be one.
        case incomplete
        case complete(HeartbeatHead)
    }

    static let path = "\(HubAPI.base)/agent/heartbeat"
    /// Larger ones take the ordinary way.
    static let headBytesMax = 4096
    static let bodyBytesMax = 65_536

    private(set) var signature: RequestSignature
    /// Of the head, with the empty line.
    private(set) var byteCount = 0
    private(set) var bodyBytes: Int

    private static let requestLine = Array("POST \(path) HTTP/1.1\r\n".utf8)

    /// Looks at what begins with a request (RFC 9112 sections 3 and 5).
    static func read(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        guard bytes.prefix(requestLine.count).elementsEqual(requestLine.prefix(bytes.count)) else { return .other }
        guard bytes.count >= requestLine.count else { return .incomplete }
        var fields = Fields()
        var position = requestLine.count
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position..<min(bytes.count, headBytesMax)])
            guard let end = rest.firstIndex(where: { !isFieldText($0) }) else {
                return bytes.count < headBytesMax ? .incomplete : .other
            }
            guard rest[end] == cr else { return .other }
            guard end + 1 < rest.count else { return bytes.count < headBytesMax ? .incomplete : .other }
            guard rest[end + 1] == lf else { return .other }
            position += end + 2
            if end == 0 { break }
            guard fields.take(UnsafeRawBufferPointer(rebasing: rest[..<end])) else { return .other }
        }
        guard var head = fields.head else { return .other }
        head.byteCount = position
        return .complete(head)
    }

    private static let cr = UInt8(ascii: "\r")
    private static let lf = UInt8(ascii: "\n")

    /// Visible ASCII, spaces and tabs.
    private static func isFieldText(_ byte: UInt8) -> Bool { (0x20...0x7E).contains(byte) || byte == 0x09 }

    /// What was read of the lines so far.
    private struct Fields {
        var hasHost = false
        var bodyBytes: Int?
        var node: String?
        var nonce: String?
        var timeMs: Int64?
        var proof: RequestSignature.Proof?

        var head: HeartbeatHead? {
            guard hasHost, let bodyBytes, let node, let nonce, let timeMs, let proof else { return nil }
            return HeartbeatHead(
                signature: RequestSignature(nodeId: node, timeMs: timeMs, nonce: nonce, proof: proof),
                bodyBytes: bodyBytes)
        }

        /// - Returns: false for a line that makes the head none of a heartbeat.
        mutating func take(_ line: UnsafeRawBufferPointer) -> Bool {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0,
                line[..<colon].allSatisfy(HeartbeatHead.isNameByte)
            else { return false }
            let name = UnsafeRawBufferPointer(rebasing: line[..<colon])
            let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
            var value = UnsafeRawBufferPointer(rebasing: line[(colon + 1)...].drop(while: isBlank))
            while let last = value.last, isBlank(last) { value = UnsafeRawBufferPointer(rebasing: value.dropLast()) }
            switch name {
            case Named.host:
                defer { hasHost = true }
                return !hasHost
            case Named.node: return Self.set(&node, String(decoding: value, as: UTF8.self))
            case Named.nonce: return Self.set(&nonce, String(decoding: value, as: UTF8.self))
            case Named.time: return Self.set(&timeMs, HeartbeatHead.number(value))
            case Named.mac: return Self.set(&proof, .sessionMAC(String(decoding: value, as: UTF8.self)))
            case Named.signature: return Self.set(&proof, .signature(String(decoding: value, as: UTF8.self)))
            case Named.contentLength:
                let count = HeartbeatHead.number(value).flatMap { $0 <= HeartbeatHead.bodyBytesMax ? Int($0) : nil }
                return Self.set(&bodyBytes, count)
            case Named.connection, Named.expect, Named.transferEncoding, Named.upgrade: return false
            default: return true
            }
        }

        /// - Returns: false when there was one before, or there is none.
        private static func set<Value>(_ place: inout Value?, _ value: Value?) -> Bool {
            guard place == nil, let value else { return false }
            place = value
            return true
        }
    }

    /// A field's name, in whatever case it was sent. All that is looked for consists of letters and hyphens.
    private struct Named {
        let name: [UInt8]
        init(_ name: String) { self.name = Array(name.lowercased().utf8) }

        static let host = Named("Host")
        static let node = Named(RequestSignature.nodeHeader)
        static let nonce = Named(RequestSignature.nonceHeader)
        static let time = Named(RequestSignature.timeHeader)
        static let mac = Named(RequestSignature.macHeader)
        static let signature = Named(RequestSignature.signatureHeader)
        static let contentLength = Named("Content-Length")
        static let connection = Named("Connection")
        static let expect = Named("Expect")
        static let transferEncoding = Named("Transfer-Encoding")
        static let upgrade = Named("Upgrade")

        static func ~= (pattern: Named, sent: UnsafeRawBufferPointer) -> Bool {
            guard pattern.name.count == sent.count else { return false }
            return pattern.name.withUnsafeBufferPointer { name in
                for index in 0..<sent.count where name[index] != sent[index] | 0x20 { return false }
                return true
            }
        }
    }

    /// Of a token (RFC 9110 section 5.6.2), as far as names of fields need it.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Nil for anything but 1 to 15 digits.
    private static func number(_ digits: UnsafeRawBufferPointer) -> Int64? {
        guard (1...15).contains(digits.count) else { return nil }
        var value: Int64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int64(digit - UInt8(ascii: "0"))
        }
        return value
    }
}

extension RequestSignature {
    static let nodeField = HTTPField.Name(nodeHeader)!
    static let nonceField = HTTPField.Name(nonceHeader)!
    static let timeField = HTTPField.Name(timeHeader)!
    static let signatureField = HTTPField.Name(signatureHeader)!
    static let macField = HTTPField.Name(macHeader)!

    /// Nil when nothing proves who sent the request.
    init?(_ headers: HTTPFields) {
        self.init { name in
            switch name {
            case Self.nodeHeader: headers[Self.nodeField]
            case Self.nonceHeader: headers[Self.nonceField]
            case Self.timeHeader: headers[Self.timeField]
            case Self.signatureHeader: headers[Self.signatureField]
            case Self.macHeader: headers[Self.macField]
            default: nil
            }
        }
    }
}
