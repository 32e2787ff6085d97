import CLI
import Catalog
import Model
import ResourceKit
import Testing

@Suite("Documentation")
struct DocumentationTests {
    /// A fenced block of a page.
    private struct Block {
        var page: String
        var line: Int
        var language: String
        var text: [String]
    }

    private func pages() throws -> [SourceTree.File] {
        try SourceTree.paths(below: "").filter { $0.hasSuffix(".md") }.map(SourceTree.file)
    }

    private func blocks(of page: SourceTree.File) -> [Block] {
        var result: [Block] = []
        var open: Block?
        for (index, line) in page.lines.enumerated() {
            guard line.hasPrefix("```") else {
                open?.text.append(line)
                continue
            }
            if let block = open {
                result.append(block)
                open = nil
            } else {
                open = Block(page: page.path, line: index + 1, language: String(line.dropFirst(3)), text: [])
            }
        }
        return result
    }

    @Test("every stack file is one that the program takes")
    func stackFiles() throws {
        let stack = try #require(Catalog.kind(named: "stack"))
        let service = try #require(Catalog.kind(named: "service"))
        let site = try #require(Catalog.kind(named: "site"))
        var texts: [(String, String)] = try pages().flatMap(blocks).filter { $0.language == "yaml" }
            .map { ("\($0.page):\($0.line)", $0.text.joined(separator: "\n")) }
        texts = texts.filter { $0.1.contains("services:") || $0.1.contains("sites:") }
        for file in try SourceTree.files(below: "examples", ending: [".yaml"])
        where !["examples/cluster.yaml", "examples/seed.yaml"].contains(file.path) {
            texts.append((file.path, file.text))
        }
        #expect(!texts.isEmpty)
        for (name, text) in texts {
            #expect(throws: Never.self) {
                _ = try StackFile.parse(text, name: name, stackKind: stack, serviceKind: service, siteKind: site)
            }
        }
    }

    @Test("the example of a new kind is the one that the tests compile, and short")
    func workedExample() throws {
        let example = try SourceTree.file("Tests/Hub/ContactKind.swift").lines.filter { !$0.isEmpty }
        let block = try #require(
            try blocks(of: SourceTree.file("ARCHITECTURE.md")).first { $0.language == "swift" })
        #expect(block.text.filter { !$0.isEmpty } == example)
        #expect(block.text.count < 100)
    }

    @Test("the example cluster and seed are ones that the program takes")
    func treeFiles() throws {
        let cluster = try SourceTree.file("examples/cluster.yaml")
        let (region, entry) = try TreeFile.parseCluster(cluster.text, name: cluster.path, kinds: Catalog.kinds)
        #expect(region == "eu-1" && entry.below.count == 7)
        let seed = try SourceTree.file("examples/seed.yaml")
        let tree = try TreeFile.parse(seed.text, name: seed.path, kinds: Catalog.kinds)
        #expect(tree.entries.map(\.kind.name) == ["platform-config", "brand", "region", "tenant"])
    }

    @Test("examples/stack.yaml names every field")
    func annotatedStack() throws {
        let text = try SourceTree.file("examples/stack.yaml").text
        for kind in ["stack", "service", "site"] {
            for field in try #require(Catalog.kind(named: kind)).fields
            where !["name", "domain"].contains(field.name) {
                #expect(text.contains("\(field.name):"), "\(kind) has a field \(field.name)")
            }
        }
    }

    @Test("every command line is one that the program understands")
    func commandLines() throws {
        let local = try LocalCommandLines()
        var flaws: [String] = []
        for page in try pages() {
            for block in blocks(of: page) where block.language == "sh" {
                for words in ShellWords.commands(block.text.joined(separator: "\n")) where words.first == "roost" {
                    if let flaw = flaw(words, isExcerpt: false, local) {
                        flaws.append("\(page.path):\(block.line): \(words.joined(separator: " ")): \(flaw)")
                    }
                }
            }
            for (index, line) in page.lines.enumerated() {
                let parts = line.split(separator: "`", omittingEmptySubsequences: false)
                for code in stride(from: 1, to: parts.count, by: 2).map({ parts[$0] }) where code.hasPrefix("roost ") {
                    for words in ShellWords.commands(String(code)) where words.first == "roost" {
                        guard let flaw = flaw(words, isExcerpt: true, local) else { continue }
                        flaws.append("\(page.path):\(index + 1): \(code): \(flaw)")
                    }
                }
            }
        }
        report(flaws)
    }

    private func flaw(_ words: [String], isExcerpt: Bool, _ local: LocalCommandLines) -> String? {
        let rest = Array(words.dropFirst())
        guard let first = rest.first, first != "--help", first != "--version", first != "COMMAND" else { return nil }
        let (isKnown, flaw) = DocumentationCheck.flaw(inCommand: rest, isExcerpt: isExcerpt)
        return isKnown ? flaw : local.flaw(rest)
    }
}

/// The commands of the composition root, read from its source: the executable cannot be imported.
private struct LocalCommandLines {
    private let source: String
    private let names: Set<String>

    init() throws {
        let files = try SourceTree.files(below: "Sources/Roost", ending: [".swift"])
        source = files.map(\.text).joined(separator: "\n")
        var names: Set<String> = []
        for line in source.split(separator: "\n") {
            let parts = line.split(separator: "\"")
            // The shim is told apart before anything else is set up, without a parser.
            let marks = ["commandName: ", "words[1] == "]
            guard let place = parts.firstIndex(where: { part in marks.contains { part.hasSuffix($0) } }),
                place + 1 < parts.count
            else { continue }
            names.insert(String(parts[place + 1]))
        }
        self.names = names
    }

    func flaw(_ words: [String]) -> String? {
        guard let first = words.first, names.contains(first) else { return "there is no such command" }
        for word in words where word.hasPrefix("--") && word != "--help" {
            let name = word.dropFirst(2).split(separator: "=")[0]
            let parts = name.split(separator: "-")
            let property = parts[0] + parts.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
            guard source.contains("var \(property)") || source.contains("\"\(name)\"") else {
                return "no option \(word)"
            }
        }
        return nil
    }
}

/// Simple commands of a shell script: words, quotes, comments, continued lines; pipes and redirections end a command.
private enum ShellWords {
    static func commands(_ text: String) -> [[String]] {
        var commands: [[String]] = []
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isComment = false
        var characters = Array(text)[...]
        func endWord() {
            if let done = word { words.append(done) }
            word = nil
        }
        func endCommand() {
            endWord()
            if !words.isEmpty { commands.append(words) }
            words = []
        }
        while let character = characters.popFirst() {
            if isComment, character != "\n" { continue }
            if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
                continue
            }
            switch character {
            case "'", "\"":
                quote = character
                word = word ?? ""
            case "\\" where characters.first == "\n": characters.removeFirst()
            case "#" where word == nil: isComment = true
            case "\n":
                isComment = false
                endCommand()
            case "|", "&", ";", "<", ">": endCommand()
            case " ", "\t": endWord()
            default: word = (word ?? "") + String(character)
            }
        }
        endCommand()
        return commands
    }
}
