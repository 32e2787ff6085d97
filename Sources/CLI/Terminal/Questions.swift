import Glibc
import Model

/// Questions to the person at the terminal.
struct Questions: Sendable {
    private static let secretBytesMax = 65_536

    let terminal: Terminal

    /// Asks for a yes before something that cannot be undone.
    ///
    /// - Throws: `confirmation_needed` when there is no one to ask, or when the answer is no.
    func confirm(_ question: String, isConfirmed: Bool) throws {
        if isConfirmed { return }
        guard isatty(STDIN_FILENO) == 1 else {
            throw Problem(
                .confirmationNeeded, "This needs a confirmation, and there is no terminal to ask on.",
                hint: "Add --yes to confirm.")
        }
        terminal.rawNote("\(question) [y/N] ")
        let answer = (readLine() ?? "").lowercased()
        guard answer == "y" || answer == "yes" else {
            throw Problem(.confirmationNeeded, "Nothing was changed.")
        }
    }

    /// Reads a secret without showing it; from a pipe it is the first line.
    func secret(_ prompt: String) throws -> String {
        guard isatty(STDIN_FILENO) == 1 else { return try checked(readLine() ?? "") }
        var saved = termios()
        guard tcgetattr(STDIN_FILENO, &saved) == 0 else {
            throw Problem(.internalError, "The terminal cannot hide what is typed.", hint: "Pipe the secret in.")
        }
        var hidden = saved
        hidden.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved)
            terminal.note("")
        }
        terminal.rawNote("\(prompt): ")
        return try checked(readLine() ?? "")
    }

    private func checked(_ line: String) throws -> String {
        var text = Substring(line)
        while text.last?.isWhitespace == true { text.removeLast() }
        while text.first?.isWhitespace == true { text.removeFirst() }
        guard !text.isEmpty else { throw Problem(.invalid, "No secret was given.", hint: "Type it, or pipe it in.") }
        guard text.utf8.count <= Self.secretBytesMax else { throw Problem(.tooLarge, "The secret is too long.") }
        return String(text)
    }
}

extension Problem.Code {
    /// A person must agree first.
    static let confirmationNeeded = Self("confirmation_needed")
    /// What was followed ended in failure.
    static let workFailed = Self("work_failed")
    /// Nothing answers at the hub's address.
    static let hubUnreachable = Self("hub_unreachable")
}
