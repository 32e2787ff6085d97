import Model

/// `Date` of answers (RFC 9110 section 6.6.1) as a whole line, written once in a second and not for each of them.
struct DateLine {
    private(set) var line = ""
    private(set) var bytes: [UInt8] = []
    private var second = Int64.min

    mutating func update(_ millisecondsSinceEpoch: Int64) {
        guard millisecondsSinceEpoch / 1000 != second else { return }
        second = millisecondsSinceEpoch / 1000
        line = "Date: \(Timestamp(millisecondsSinceEpoch: millisecondsSinceEpoch).httpDate)\r\n"
        bytes = Array(line.utf8)
    }
}
