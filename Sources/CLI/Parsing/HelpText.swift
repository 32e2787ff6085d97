/// Help texts, made from the declarations alone.
enum HelpText {
    private static let widthMax = 100
    private static let indent = 2

    static func text(for command: CommandDeclaration, path: [String]) -> String {
        var out = command.summary + "\n"
        if !command.discussion.isEmpty { out += "\n\(command.discussion)\n" }
        out += "\nUSAGE\n  \(usage(of: command, path: path))\n"
        let words = command.parameters.map { ($0.name, $0.summary + ($0.isRequired ? "" : " Optional.")) }
        out += section("ARGUMENTS", words)
        out += section("COMMANDS", command.subcommands.map { ($0.name, $0.summary) })
        var headings: [String] = []
        for option in command.options where !headings.contains(option.section) { headings.append(option.section) }
        let help = OptionDeclaration.flag("help", short: "h", "Show this text.")
        for heading in headings where heading != "CONNECTION" {
            let options = command.options.filter { $0.section == heading } + (heading == "OPTIONS" ? [help] : [])
            out += section(heading, options.map { ($0.spelling, $0.summary) })
        }
        if !headings.contains("OPTIONS") { out += section("OPTIONS", [(help.spelling, help.summary)]) }
        let connection = command.options.filter { $0.section == "CONNECTION" }
        return out + section("CONNECTION", connection.map { ($0.spelling, $0.summary) })
    }

    static func usage(of command: CommandDeclaration, path: [String]) -> String {
        var words = ["roost"] + path
        words += command.parameters.map { $0.isRequired ? $0.name : "[\($0.name)]" }
        if !command.subcommands.isEmpty { words.append("COMMAND") }
        if !command.options.isEmpty { words.append("[OPTIONS]") }
        return words.joined(separator: " ")
    }

    /// A heading and two columns; the second is wrapped.
    static func section(_ heading: String, _ rows: [(String, String)]) -> String {
        guard !rows.isEmpty else { return "" }
        let left = min(34, rows.map(\.0.count).max() ?? 0)
        var out = "\n\(heading)\n"
        for (term, meaning) in rows {
            let lines = wrapped(meaning, width: widthMax - indent - left - 2)
            let pad = String(repeating: " ", count: indent + left + 2)
            if term.count > left {
                out += String(repeating: " ", count: indent) + term + "\n" + pad + (lines.first ?? "") + "\n"
            } else {
                let gap = String(repeating: " ", count: left - term.count + 2)
                out += String(repeating: " ", count: indent) + term + gap + (lines.first ?? "") + "\n"
            }
            for line in lines.dropFirst() { out += pad + line + "\n" }
        }
        return out
    }

    static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + word.count + 1 > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return line.isEmpty ? lines : lines + [line]
    }
}
