import Testing

@testable import CLI

@Suite("Arguments")
struct ArgumentReaderTests {
    private let command = CommandDeclaration(
        "try", "A command.",
        parameters: [ParameterDeclaration("NAME", "A name."), ParameterDeclaration("MORE", "More.", required: false)],
        options: [
            OptionDeclaration("file", short: "f", placeholder: "FILE", "A file."),
            OptionDeclaration("env", "Entries.", arity: .repeated), .flag("follow", short: "F", "Follow."),
            .flag("yes", short: "y", "Yes."),
        ])

    private func read(_ words: String...) throws -> Arguments? {
        try ArgumentReader.read(words, for: command, path: ["try"])
    }

    @Test("values come after the option, behind = or attached to a letter")
    func values() throws {
        let forms: [[String]] = [["--file", "a=b"], ["--file=a=b"], ["-f", "a=b"], ["-fa=b"]]
        for words in forms {
            let read = try ArgumentReader.read(["web"] + words, for: command, path: ["try"])
            #expect(read?.value("file") == "a=b")
            #expect(read?.parameters["NAME"] == "web")
        }
    }

    @Test("flags may be bundled, values repeated, and -- ends options")
    func bundles() throws {
        let read = try #require(try read("-Fy", "--env", "A=1", "web", "--env", "B=2", "--", "--more"))
        #expect(read.has("follow") && read.has("yes"))
        #expect(read.values("env") == ["A=1", "B=2"])
        #expect(read.parameters == ["NAME": "web", "MORE": "--more"])
    }

    @Test("a lone hyphen is a value: standard input")
    func hyphen() throws {
        #expect(try read("web", "--file", "-")?.value("file") == "-")
    }

    @Test(
        "what is wrong is said in one sentence",
        arguments: [
            (["web", "--fil", "x"], "There is no option --fil. Did you mean --file?"),
            (["web", "--file"], "--file needs a value: --file FILE."),
            (["web", "--file", "--yes"], "--file needs a value: --file FILE."),
            (["web", "--yes=1"], "--yes takes no value."), (["web", "-x"], "There is no option -x."),
            ([], "NAME is missing: A name."), (["a", "b", "c"], "\"c\" is one word too many."),
        ])
    func refusals(words: [String], message: String) {
        #expect(throws: UsageError(message, path: ["try"])) {
            try ArgumentReader.read(words, for: command, path: ["try"])
        }
    }

    @Test("help wins over everything that is missing")
    func help() throws {
        #expect(try read("--help") == nil)
        #expect(try read("-h") == nil)
    }

    @Test("spelling finds slips and leaves other words alone")
    func spelling() {
        #expect(Spelling.nearest(to: "servce", in: ["service", "server"]) == "service")
        #expect(Spelling.nearest(to: "banana", in: ["service", "server"]) == nil)
        #expect(Spelling.distance(Array("kitten"), Array("sitting")) == 3)
    }
}
