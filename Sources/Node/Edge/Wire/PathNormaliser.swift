/// RFC 3986 section 6.2.2: needless escapes decoded, dot segments removed, so that routing and upstream see one path.
enum PathNormaliser {
    /// Whether a path holds a dot segment or an escaped unreserved character.
    static func isNeeded(_ path: UnsafePointer<UInt8>, count: Int) -> Bool {
        var index = 0
        while index < count {
            let byte = path[index]
            if byte == UInt8(ascii: "%") {
                guard index + 2 < count, let high = ByteClass.hexValue(path[index + 1]),
                    let low = ByteClass.hexValue(path[index + 2])
                else { return true }
                if isUnreserved(high << 4 | low) { return true }
            } else if byte == UInt8(ascii: "."), index > 0, path[index - 1] == ByteClass.slash {
                var end = index + 1
                if end < count, path[end] == UInt8(ascii: ".") { end += 1 }
                if end == count || path[end] == ByteClass.slash { return true }
            }
            index += 1
        }
        return false
    }

    /// The path as it should have been sent; nil when an escape is broken or it climbs above the root.
    static func normalised(_ path: UnsafePointer<UInt8>, count: Int) -> [UInt8]? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(count)
        var index = 0
        while index < count {
            guard path[index] == UInt8(ascii: "%") else {
                decoded.append(path[index])
                index += 1
                continue
            }
            guard index + 2 < count, let high = ByteClass.hexValue(path[index + 1]),
                let low = ByteClass.hexValue(path[index + 2])
            else { return nil }
            let byte = high << 4 | low
            guard byte != 0 else { return nil }
            if isUnreserved(byte) {
                decoded.append(byte)
            } else {
                decoded.append(contentsOf: [path[index], path[index + 1], path[index + 2]])
            }
            index += 3
        }
        return withoutDotSegments(decoded)
    }

    private static func withoutDotSegments(_ path: [UInt8]) -> [UInt8]? {
        let segments = path.dropFirst().split(separator: ByteClass.slash, omittingEmptySubsequences: false)
        var kept: [ArraySlice<UInt8>] = []
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            if segment.elementsEqual(".".utf8) {
                if isLast { kept.append([]) }
            } else if segment.elementsEqual("..".utf8) {
                guard kept.popLast() != nil else { return nil }
                if isLast { kept.append([]) }
            } else {
                kept.append(segment)
            }
        }
        return [ByteClass.slash] + Array(kept.joined(separator: [ByteClass.slash]))
    }

    /// The path with each run of slashes as one; nil when it has none that is longer.
    static func withMergedSlashes(_ path: UnsafePointer<UInt8>, count: Int) -> [UInt8]? {
        guard count > 1, (1..<count).contains(where: { isRepeatedSlash(path, $0) }) else { return nil }
        return (0..<count).filter { $0 == 0 || !isRepeatedSlash(path, $0) }.map { path[$0] }
    }

    private static func isRepeatedSlash(_ path: UnsafePointer<UInt8>, _ index: Int) -> Bool {
        path[index] == ByteClass.slash && path[index - 1] == ByteClass.slash
    }

    static func isUnreserved(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26 || ByteClass.isDigit(byte) || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "~")
    }
}
