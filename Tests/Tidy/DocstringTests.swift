import Testing

@Suite("Docstrings")
struct DocstringTests {
    private static let keywords: Set<String> = ["struct", "class", "enum", "protocol", "actor", "func", "typealias"]
    private static let modifiers: Set<String> = [
        "public", "static", "final", "mutating", "nonisolated", "indirect", "override", "class", "consuming", "prefix",
    ]
    /// Requirements of the standard library's protocols: their meaning is written there.
    private static let requirements: Set<String> = [
        "encode", "hash", "makeIterator", "next", "makeAsyncIterator", "==", "<", "description", "run", "index",
        "channelRead", "channelReadComplete", "channelActive", "channelInactive", "errorCaught", "handlerAdded",
        "handlerRemoved", "userInboundEventTriggered", "channelWritabilityChanged", "write", "flush", "read", "close",
        "handle", "channelRegistered", "channelUnregistered", "connect", "bind", "register", "triggerUserOutboundEvent",
    ]

    /// Properties are left out: their name, their type and the units in their name say what most of them are, and where
    /// that is not enough, review asks for more. Initialisers are left out for the same reason.
    @Test("every public type and function says what it means")
    func publicDeclarations() throws {
        var flaws: [String] = []
        for file in try SourceTree.swift.get()
        where (file.path.hasPrefix("Sources/") || file.path.hasPrefix("Resources/")) && !file.path.contains("/Tests/") {
            for (index, line) in file.lines.enumerated() {
                guard let name = declared(line), !Self.requirements.contains(name), !isDocumented(file, above: index),
                    !fulfils(file, index)
                else { continue }
                flaws.append("\(file.path):\(index + 1): \(name)")
            }
        }
        report(flaws)
    }

    /// Name of what a line declares, if that is public and of a kind that needs a docstring.
    private func declared(_ line: String) -> String? {
        let words = line.split(separator: " ").map(String.init)
        guard words.contains("public"),
            let place = words.firstIndex(where: { Self.keywords.contains($0) && $0 != "class" || $0 == "class" }),
            words[..<place].allSatisfy({ Self.modifiers.contains($0) || $0.hasPrefix("@") }), place + 1 < words.count
        else { return nil }
        let word = words[place] == "class" && words[place + 1] == "func" ? words[place + 2] : words[place + 1]
        return String(word.prefix { !"(<:{".contains($0) || word.first == $0 })
    }

    private func isDocumented(_ file: SourceTree.File, above index: Int) -> Bool {
        var line = index - 1
        while line >= 0, file.lines[line].drop(while: { $0 == " " }).hasPrefix("@") { line -= 1 }
        return line >= 0 && file.lines[line].drop { $0 == " " }.hasPrefix("///")
    }

    /// Whether the function is inside an extension or a type that says what it conforms to, on the nearest line to the
    /// left above it: the protocol's own declaration has the docstring.
    private func fulfils(_ file: SourceTree.File, _ index: Int) -> Bool {
        let indent = file.lines[index].prefix { $0 == " " }.count
        guard indent > 0, file.lines[index].contains(" func ") else { return false }
        for line in file.lines[..<index].reversed() where !line.isEmpty {
            guard line.prefix(while: { $0 == " " }).count < indent, !line.drop(while: { $0 == " " }).hasPrefix("//")
            else {
                continue
            }
            if line.hasSuffix("{"), !line.contains(":"), !line.contains("extension"), !line.contains("struct") {
                continue
            }
            // Default implementations of a protocol of the same file: the requirement has the docstring.
            let words = line.split(separator: " ")
            if words.first == "extension", words.count > 1, file.text.contains("protocol \(words[1])") { return true }
            return line.contains(": ")
        }
        return false
    }
}
