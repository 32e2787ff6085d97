import Testing

@Suite("Shape of the source")
struct ShapeTests {
    private static let fileLinesMax = 400
    private static let functionLinesMax = 60
    private static let lineColumnsMax = 120

    /// Folders whose multi-line strings are pages and styles: a line break there is part of what browsers get.
    private static let markup = ["Sources/Hub/Dashboard/Templates/", "Sources/Hub/Dashboard/Assets/"]

    @Test("files, functions and lines are short")
    func lengths() throws {
        var flaws: [String] = []
        for file in try SourceTree.swift.get() {
            if file.lines.count > Self.fileLinesMax { flaws.append("\(file.path): \(file.lines.count) lines") }
            let isMarkup = Self.markup.contains(where: file.path.hasPrefix)
            var isInString = false
            for (index, line) in file.lines.enumerated() {
                if line.contains("\"\"\"") { isInString.toggle() }
                if line.count > Self.lineColumnsMax, !(isMarkup && isInString) {
                    flaws.append("\(file.path):\(index + 1): \(line.count) columns")
                }
            }
            for function in functions(in: file) where function.length > Self.functionLinesMax {
                flaws.append("\(file.path):\(function.line): a function of \(function.length) lines")
            }
        }
        report(flaws)
    }

    /// Functions and initialisers with a body of several lines. The formatter puts the closing brace into the column of
    /// the declaration, so the end is found without parsing.
    private func functions(in file: SourceTree.File) -> [(line: Int, length: Int)] {
        var result: [(line: Int, length: Int)] = []
        for (index, line) in file.lines.enumerated() {
            let text = line.drop { $0 == " " }
            let words = text.split(separator: " ").map(String.init)
            let isFunction =
                words.contains("func") || words.contains { $0.hasPrefix("init(") || $0.hasPrefix("init?(") }
            guard isFunction, !text.hasPrefix("//"), !text.hasPrefix("*"), declares(words) else { continue }
            let indent = String(line.prefix(line.count - text.count))
            guard let end = file.lines[(index + 1)...].firstIndex(where: { $0 == indent + "}" || isNext($0, indent) }),
                file.lines[end] == indent + "}"
            else { continue }
            result.append((index + 1, end - index + 1))
        }
        return result
    }

    private static let modifiers: Set<String> = [
        "public", "package", "private", "fileprivate", "internal", "static", "final", "mutating", "nonisolated",
        "override", "convenience", "required", "@Sendable", "@discardableResult", "@inlinable", "@inline(__always)",
        "consuming", "borrowing", "class", "@MainActor", "@Test", "@concurrent", "async", "prefix", "postfix",
    ]

    /// Whether only modifiers come before the keyword: a call of `init(` is no declaration.
    private func declares(_ words: [String]) -> Bool {
        for word in words {
            if word == "func" || word.hasPrefix("init(") || word.hasPrefix("init?(") { return true }
            guard Self.modifiers.contains(word) || word.hasPrefix("@") else { return false }
        }
        return false
    }

    /// A declaration in the same column begins before any closing brace: the first had no body of its own.
    private func isNext(_ line: String, _ indent: String) -> Bool {
        guard line.hasPrefix(indent), line.count > indent.count else { return false }
        let rest = line.dropFirst(indent.count)
        return rest.first != " " && rest.first != ")" && rest.first != "{" && rest.first != "-"
            && !rest.hasPrefix("where")
            && !rest.hasPrefix("throws") && !rest.hasPrefix("async") && !rest.hasPrefix("#")
    }

    @Test("files are named after what they hold")
    func names() throws {
        let vague = ["Util", "Helper", "Manager", "Misc", "Common", "placeholder"]
        let flaws = try SourceTree.swift.get().filter { file in vague.contains { file.name.contains($0) } }.map(\.path)
        report(flaws)
    }
}
