/// Tells whether command lines and stack files in the documentation say what the program understands.
public enum DocumentationCheck {
    /// Why a command line would be refused; nil when it would be understood.
    ///
    /// - Parameters:
    ///   - words: after `roost`.
    ///   - isExcerpt: whether missing words are fine, as in running text.
    /// - Returns: nil as well for a word that is none of this module's commands, with `isKnown` false.
    public static func flaw(inCommand words: [String], isExcerpt: Bool) -> (isKnown: Bool, flaw: String?) {
        var rest = words[...]
        guard let first = rest.popFirst(), var command = Program.commands.first(where: { $0.answers(to: first) }) else {
            return (false, nil)
        }
        var path = [command.name]
        while !command.subcommands.isEmpty, let word = rest.first, word != "--help" {
            guard let next = command.subcommands.first(where: { $0.answers(to: word) }) else {
                if command.run != nil { break }
                return (true, "\(path.joined(separator: " ")) has no command \(word)")
            }
            rest.removeFirst()
            command = next
            path.append(next.name)
        }
        do {
            _ = try ArgumentReader.read(Array(rest), for: command, path: path)
            return (true, nil)
        } catch {
            let isMissing = error.message.contains("is missing") || error.message.contains("needs a value")
            return (true, isExcerpt && isMissing ? nil : error.message)
        }
    }
}
