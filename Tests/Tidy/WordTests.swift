import Testing

@Suite("Words that must not be there")
struct WordTests {
    private func isCode(_ path: String) -> Bool { path.hasPrefix("Sources/") || path.hasPrefix("Resources/") }

    private func isTest(_ path: String) -> Bool {
        path.hasPrefix("Tests/") || path.contains("/Tests/") || path.hasPrefix("Sources/TestSupport/")
    }

    /// Words built from halves, so that this file does not hold them itself.
    private static let banned: [(word: String, why: String)] = [
        ("TO" + "DO", "unfinished work belongs to an issue"), ("FIX" + "ME", "unfinished work belongs to an issue"),
        ("X" + "XX", "unfinished work belongs to an issue"), ("HA" + "CK", "say what it is and why"),
        ("should " + "work", "it was tried, or it was not"), ("for " + "now", "what is there is what there is"),
    ]

    @Test("no unfinished work and no guesses")
    func words() throws {
        var flaws: [String] = []
        for file in try SourceTree.swift.get() + documents() {
            for (index, line) in file.lines.enumerated() {
                for (word, why) in Self.banned where line.contains(word) && !line.contains("XXXXXX") {
                    flaws.append("\(file.path):\(index + 1): \"\(word)\" (\(why))")
                }
            }
        }
        report(flaws)
    }

    @Test("nothing is swallowed, forced or printed without a reason beside it")
    func effects() throws {
        var flaws: [String] = []
        for file in try SourceTree.swift.get() where isCode(file.path) && !isTest(file.path) {
            for (index, line) in file.lines.enumerated() {
                let text = line.drop { $0 == " " }
                guard !text.hasPrefix("//") else { continue }
                for (what, needsReason) in suspicious(text, file) {
                    if needsReason, hasComment(file, near: index) { continue }
                    flaws.append("\(file.path):\(index + 1): \(what)")
                }
            }
        }
        report(flaws)
    }

    /// What is on a line, and whether a comment can excuse it.
    private func suspicious(_ text: Substring, _ file: SourceTree.File) -> [(String, Bool)] {
        var found: [(String, Bool)] = []
        let isAttempt = text.hasPrefix("try? ") || text.contains(" try? ") || text.contains("(try? ")
        if isAttempt { found.append(("try? without a comment that says why", true)) }
        if text.contains("catch {}") || text.contains("catch { }") { found.append(("an empty catch", true)) }
        if text.contains("try! ") || text.contains(" as! ") { found.append(("a forced try or cast", false)) }
        if text.contains("@unchecked Sendable") { found.append(("@unchecked Sendable without a comment", true)) }
        if text.contains("nonisolated(unsafe)") { found.append(("nonisolated(unsafe) without a comment", true)) }
        if text.hasPrefix("print("), !file.path.hasPrefix("Sources/CLI/"), !file.path.hasPrefix("Sources/Simulate/"),
            !file.path.hasPrefix("Sources/Roost/")
        {
            found.append(("print outside the command line", false))
        }
        return found
    }

    /// A comment on the line, on the one below, or above with at most three lines of the same statement between.
    private func hasComment(_ file: SourceTree.File, near index: Int) -> Bool {
        let range = max(0, index - 4)...min(file.lines.count - 1, index + 1)
        return file.lines[range].contains { $0.contains("// ") }
    }

    private func documents() throws -> [SourceTree.File] {
        try SourceTree.paths(below: "").filter {
            $0.hasSuffix(".md") || $0.hasSuffix(".sh") || $0.hasSuffix(".yaml") || $0.hasSuffix(".py")
                || $0 == "Makefile"
        }.map(SourceTree.file)
    }

    @Test("no path of a developer's machine")
    func machines() throws {
        let paths = ["/wo" + "rk/main", "/wo" + "rk/shared", "/Us" + "ers/", "/tmp/" + "pkg", "/home/" + "runner"]
        var flaws: [String] = []
        for file in try SourceTree.swift.get() + documents() {
            for (index, line) in file.lines.enumerated() where paths.contains(where: line.contains) {
                flaws.append("\(file.path):\(index + 1)")
            }
        }
        report(flaws)
    }
}
