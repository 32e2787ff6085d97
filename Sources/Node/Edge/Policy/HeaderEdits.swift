import Model
import NIOCore

/// Changes of header fields, made ready for heads that are already written.
struct HeaderEdits: Sendable {
    /// Names in lower case whose lines go.
    var removed: [[UInt8]] = []
    /// Whole lines that come.
    var added: [UInt8] = []
    /// Lines that come unless the head has the name.
    var defaults: [(name: [UInt8], line: [UInt8])] = []

    var isEmpty: Bool { removed.isEmpty && added.isEmpty && defaults.isEmpty }

    mutating func set(_ name: String, _ value: String) {
        removed.append(Array(name.lowercased().utf8))
        added += "\(name): \(value)\r\n".utf8
    }

    mutating func remove(_ name: String) { removed.append(Array(name.lowercased().utf8)) }

    mutating func setDefault(_ name: String, _ value: String) {
        defaults.append((Array(name.lowercased().utf8), Array("\(name): \(value)\r\n".utf8)))
    }

    static func request(_ rules: EdgeHeaderRules) -> HeaderEdits {
        var edits = HeaderEdits()
        for name in rules.requestRemove { edits.remove(name) }
        for header in rules.requestSet { edits.set(header.name, header.value) }
        return edits
    }

    static func response(_ rules: EdgeHeaderRules) -> HeaderEdits {
        var edits = HeaderEdits()
        for name in rules.responseRemove { edits.remove(name) }
        for header in rules.responseSet { edits.set(header.name, header.value) }
        if rules.hidesServer {
            edits.remove("Server")
            edits.remove("X-Powered-By")
        }
        guard rules.addsSecurityHeaders else { return edits }
        let set = Set(rules.responseSet.map { $0.name.lowercased() })
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "strict-origin-when-cross-origin"),
            ("X-Frame-Options", "SAMEORIGIN"),
        ] where !set.contains(name.lowercased()) {
            edits.setDefault(name, value)
        }
        return edits
    }

    /// The edited message: a head of `headBytes` that ends with an empty line, and what follows it.
    ///
    /// Names are compared with `_` read as `-`, since programs behind a gateway cannot tell them apart.
    func apply(to message: ByteBuffer, headBytes: Int) -> ByteBuffer {
        var out = ByteBufferAllocator().buffer(
            capacity: message.readableBytes + added.count + defaults.reduce(0) { $0 + $1.line.count })
        var isPresent = [Bool](repeating: false, count: defaults.count)
        message.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            let fieldsEnd = headBytes - 2
            var start = 0
            while start < fieldsEnd {
                var end = start
                while bytes[end] != ByteClass.lf { end += 1 }
                end += 1
                let nameCount = start == 0 ? 0 : Self.nameCount(bytes + start, end - start)
                let name = bytes + start
                for index in defaults.indices where Self.isSame(name, nameCount, defaults[index].name) {
                    isPresent[index] = true
                }
                if start == 0 || !removed.contains(where: { Self.isSame(name, nameCount, $0) }) {
                    out.writeBytes(UnsafeRawBufferPointer(start: name, count: end - start))
                }
                start = end
            }
            out.writeBytes(added)
            for index in defaults.indices where !isPresent[index] { out.writeBytes(defaults[index].line) }
            out.writeBytes(UnsafeRawBufferPointer(start: bytes + fieldsEnd, count: raw.count - fieldsEnd))
        }
        return out
    }

    private static func nameCount(_ line: UnsafePointer<UInt8>, _ count: Int) -> Int {
        var length = 0
        while length < count, line[length] != ByteClass.colon { length += 1 }
        return length
    }

    static func isSame(_ name: UnsafePointer<UInt8>, _ count: Int, _ other: [UInt8]) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count {
            let byte = name[index] == UInt8(ascii: "_") ? UInt8(ascii: "-") : ByteClass.lower(name[index])
            let wanted = other[index] == UInt8(ascii: "_") ? UInt8(ascii: "-") : other[index]
            if byte != wanted { return false }
        }
        return true
    }
}
