import Glibc
import Model

/// Where a command writes and what it may ask. Results go to standard output; progress, notes and errors to standard
/// error, so that a pipe gets the result alone.
public struct Terminal: Sendable {
    /// One of the two streams that a command writes to.
    public enum Stream: Sendable { case output, error }

    /// Whether standard output is a terminal with colour.
    public var hasColour: Bool
    /// Whether progress can be redrawn in place.
    public var isInteractive: Bool
    /// Columns; nil when the output is no terminal and lines must not be cut.
    public var width: Int?
    private let sink: @Sendable (Stream, String) -> Void

    /// - Parameter sink: takes all that is written; for tests.
    public init(
        hasColour: Bool = false, isInteractive: Bool = false, width: Int? = nil,
        sink: @escaping @Sendable (Stream, String) -> Void
    ) {
        self.hasColour = hasColour
        self.isInteractive = isInteractive
        self.width = width
        self.sink = sink
    }

    /// The terminal of this process.
    public static func standard(environment: [String: String]) -> Terminal {
        let isTTY = isatty(STDOUT_FILENO) == 1
        let isPlain = environment["NO_COLOR"].map { !$0.isEmpty } ?? false || environment["TERM"] == "dumb"
        var size = winsize()
        let isMeasured = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return Terminal(
            hasColour: isTTY && !isPlain, isInteractive: isatty(STDERR_FILENO) == 1 && !isPlain,
            width: isTTY ? (isMeasured ? Int(size.ws_col) : 80) : nil
        ) { stream, text in
            writeAll(text, to: stream == .output ? STDOUT_FILENO : STDERR_FILENO)
        }
    }

    /// Writes a line of the result.
    public func line(_ text: String) { sink(.output, text + "\n") }
    /// Writes part of the result as it is.
    public func raw(_ text: String) { sink(.output, text) }
    /// Writes a line for the person who watches.
    public func note(_ text: String) { sink(.error, text + "\n") }
    /// Writes part of a line for the person who watches.
    public func rawNote(_ text: String) { sink(.error, text) }

    /// Text with an SGR code around it (ECMA-48 section 8.3.117), or as it is without colour.
    public func styled(_ text: String, _ style: Style) -> String {
        hasColour ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// How a word is set off.
    public enum Style: String, Sendable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    /// A status in the colour of what it means.
    func status(_ text: String) -> String {
        switch text {
        case "active", "running", "healthy", "yes", "succeeded": styled(text, .green)
        case "failed", "crash_loop", "unhealthy", "silent": styled(text, .red)
        case "pending", "provisioning", "deleting", "suspended", "waiting", "undoing", "retrying", "stalled":
            styled(text, .yellow)
        default: text
        }
    }
}

/// Control characters made visible: what a server or a build says must not move the cursor or set the title.
func printable(_ text: String, keepingTabs: Bool = true) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var out = ""
    for scalar in text.unicodeScalars {
        if isControl(scalar), !(keepingTabs && scalar == "\t") {
            out += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        } else {
            out.unicodeScalars.append(scalar)
        }
    }
    return out
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
}

private func writeAll(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        // The reader is gone (a closed pipe, a closed terminal): there is no one left to tell.
        guard count > 0 else { return }
        bytes.removeFirst(count)
    }
}
