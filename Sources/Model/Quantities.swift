extension Duration {
    /// Whole milliseconds, rounded towards zero.
    public var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }

    /// Reads what people write for a time span: a number of seconds, or a number with the unit `ms`, `s`, `m`, `h` or
    /// `d`.
    public static func parse(_ text: String) -> Duration? {
        guard let (number, unit) = splitUnit(text) else { return nil }
        let factors: [String: Double] = ["": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400]
        guard let factor = factors[unit], number * factor < 1e10 else { return nil }
        return .milliseconds(Int64((number * factor * 1000).rounded()))
    }

    /// The shortest exact text: `250ms`, `10s`, `5m`.
    public var shortText: String {
        let total = milliseconds
        if total % 1000 != 0 { return total < 10_000 ? "\(total)ms" : "\(total / 1000)s" }
        if total >= 3_600_000, total % 3_600_000 == 0 { return "\(total / 3_600_000)h" }
        if total >= 60_000, total % 60_000 == 0 { return "\(total / 60_000)m" }
        return "\(total / 1000)s"
    }
}

/// Sizes in bytes as people write them.
public enum ByteCount {
    /// Reads a number of bytes, or a number with `K`, `M`, `G` or `T` (powers of 1024), optionally followed by `B` or
    /// `iB`.
    public static func parse(_ text: String) -> Int64? {
        guard let (number, suffix) = splitUnit(text) else { return nil }
        var unit = suffix.uppercased()
        if unit.hasSuffix("IB") { unit.removeLast(2) } else if unit.hasSuffix("B") { unit.removeLast() }
        let shifts: [String: Double] = ["": 1, "K": 1024, "M": 1_048_576, "G": 1_073_741_824, "T": 1_099_511_627_776]
        guard let factor = shifts[unit], number * factor < 9e18 else { return nil }
        return Int64(number * factor)
    }

    /// Three significant digits with a binary unit, e.g. `12.4 MiB`.
    public static func text(_ bytes: Int64) -> String {
        var value = Double(bytes)
        for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
            if value < 1024 || unit == "TiB" {
                let tenths = Int64((value * 10).rounded())
                let shown = unit == "B" || value >= 100 ? "\(Int64(value.rounded()))" : "\(tenths / 10).\(tenths % 10)"
                return "\(shown) \(unit)"
            }
            value /= 1024
        }
        return "\(bytes) B"
    }
}

/// `"1.5GiB"` → (1.5, "GiB"); nil unless it begins with a plain non-negative decimal number.
private func splitUnit(_ text: String) -> (Double, String)? {
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard !number.isEmpty, number.count <= 18, let value = Double(number), value.isFinite else { return nil }
    var unit = text[number.endIndex...]
    while unit.first == " " { unit.removeFirst() }
    return (value, String(unit))
}
