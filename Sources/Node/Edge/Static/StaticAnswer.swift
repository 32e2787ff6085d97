import Model

/// What a file's validators and a request's conditions come to (RFC 9110 sections 13 and 14).
struct StaticAnswer: Equatable {
    var status: UInt16
    /// Bytes of the file that go out.
    var range: Range<Int>

    struct Conditions {
        var ifNoneMatch: String?
        var ifModifiedSince: String?
        var range: String?
        var ifRange: String?
        var ifMatch: String?
        var ifUnmodifiedSince: String?
    }

    static func decide(size: Int, etag: String, lastModified: String, _ conditions: Conditions) -> StaticAnswer {
        if let ifMatch = conditions.ifMatch {
            if !matches(ifMatch, etag, isStrong: true) { return StaticAnswer(status: 412, range: 0..<0) }
        } else if let since = conditions.ifUnmodifiedSince, isUntil(lastModified, since) == false {
            return StaticAnswer(status: 412, range: 0..<0)
        }
        if let ifNoneMatch = conditions.ifNoneMatch {
            if matches(ifNoneMatch, etag) { return StaticAnswer(status: 304, range: 0..<0) }
        } else if let since = conditions.ifModifiedSince, isUntil(lastModified, since) == true {
            return StaticAnswer(status: 304, range: 0..<0)
        }
        let whole = StaticAnswer(status: 200, range: 0..<size)
        guard let text = conditions.range else { return whole }
        if let ifRange = conditions.ifRange, ifRange != etag, ifRange != lastModified { return whole }
        switch ByteRangeRequest(text, size: size) {
        case .whole: return whole
        case .unsatisfiable: return StaticAnswer(status: 416, range: 0..<0)
        case .part(let range): return StaticAnswer(status: 206, range: range)
        }
    }

    /// Whether a date is not after another one; nil when that one is none, and its condition is ignored then.
    private static func isUntil(_ lastModified: String, _ date: String) -> Bool? {
        if date == lastModified { return true }
        guard let date = sortable(date), let last = sortable(lastModified) else { return nil }
        return last <= date
    }

    /// The parts of a date in its preferred form (RFC 9110 section 5.6.7), the greatest first.
    private static func sortable(_ date: String) -> String? {
        let parts = date.split(separator: " ")
        guard date.utf8.count == 29, parts.count == 6, parts[5] == "GMT", let day = Int(parts[1]),
            (1...31).contains(day), let month = Timestamp.httpMonths.firstIndex(of: String(parts[2])),
            Int(parts[3]) != nil,
            parts[4].split(separator: ":").compactMap({ Int($0) }).count == 3
        else { return nil }
        return "\(parts[3]) \(month < 10 ? "0" : "")\(month) \(parts[1]) \(parts[4])"
    }

    /// Comparison with a list of entity tags, a weak one unless a strong one is asked for.
    private static func matches(_ list: String, _ etag: String, isStrong: Bool = false) -> Bool {
        list.split(separator: ",").contains { element in
            var tag = element.drop { $0 == " " || $0 == "\t" }
            while let last = tag.last, last == " " || last == "\t" { tag.removeLast() }
            if tag == "*" { return true }
            return (tag.hasPrefix("W/") && !isStrong ? tag.dropFirst(2) : tag) == etag
        }
    }

    /// Size and time of the last change; a file replaced by one of the same size in the same nanosecond is not told.
    static func etag(size: Int, seconds: Int, nanoseconds: Int) -> String {
        "\"\(String(size, radix: 16))-\(String(seconds, radix: 16))-\(String(nanoseconds, radix: 16))\""
    }
}

/// A `Range` field (RFC 9110 section 14.2). One range is honoured; several get the whole file, which is allowed.
enum ByteRangeRequest: Equatable {
    case whole
    case unsatisfiable
    case part(Range<Int>)

    init(_ text: String, size: Int) {
        guard text.lowercased().hasPrefix("bytes=") else {
            self = .whole
            return
        }
        let spec = text.dropFirst(6).filter { $0 != " " && $0 != "\t" }
        let ends = spec.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, !spec.contains(","), ends.allSatisfy({ $0.utf8.allSatisfy(ByteClass.isDigit) }),
            ends.allSatisfy({ $0.count <= 18 })
        else {
            self = .whole
            return
        }
        switch (Int(ends[0]), Int(ends[1])) {
        case (nil, nil): self = .whole
        case (nil, let suffix?): self = suffix == 0 || size == 0 ? .unsatisfiable : .part(max(0, size - suffix)..<size)
        case (let first?, let last):
            if let last, last < first {
                self = .whole
            } else if first >= size {
                self = .unsatisfiable
            } else {
                self = .part(first..<min(size, (last ?? size - 1) + 1))
            }
        }
    }
}
