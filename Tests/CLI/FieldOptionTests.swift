import Catalog
import Model
import ResourceKit
import Testing

@testable import CLI

@Suite("Options from field declarations")
struct FieldOptionTests {
    private func spec(_ kind: String, _ words: [String], files: [String: String] = [:]) throws -> [String: JSONValue] {
        let kind = try #require(Catalog.kind(named: kind))
        let options = FieldOption.options(for: kind.fields)
        let command = CommandDeclaration("try", "", options: options.flatMap { $0.declarations() })
        let arguments = try #require(try ArgumentReader.read(words, for: command, path: ["try"]))
        var values = FieldValues(path: ["try"])
        values.readFile = { name in
            guard let text = files[name] else { throw Problem(.notFound, "no file") }
            return text
        }
        return try values.spec(options, arguments)
    }

    @Test("each form of field has its option")
    func forms() throws {
        let result = try spec(
            "service",
            [
                "--name", "web", "--git-url", "https://git.example.org/a.git", "--port", "8080", "--no-strip-path",
                "--hostname", "a.example.org", "--hostname=b.example.org", "--env", "A=x=y", "--env", "B=",
                "--health-check-path", "/up", "--health-check-interval", "250ms", "--memory-max", "256M",
                "--cpu-quota", "0.5", "--stop-grace", "30",
            ])
        #expect(
            JSONValue.object(result) == [
                "name": "web", "git_url": "https://git.example.org/a.git", "port": 8080, "strip_path": false,
                "hostnames": ["a.example.org", "b.example.org"], "env": ["A": "x=y", "B": ""],
                "health_check": ["path": "/up", "interval": "250ms"], "memory_max": "256M", "cpu_quota": 0.5,
                "stop_grace": 30,
            ])
    }

    @Test("secrets come from files and standard input, without the line break at their end")
    func secrets() throws {
        let result = try spec(
            "service", ["--secret-env", "A=@/key", "--secret-env", "B=-", "--secret-env", "C=plain", "--env", "D=@x"],
            files: ["/key": "one\ntwo\n", "-": "piped"])
        #expect(
            result["env"] == [
                "A": ["value": "one\ntwo", "secret": true], "B": ["value": "piped", "secret": true],
                "C": ["value": "plain", "secret": true], "D": "@x",
            ])
    }

    @Test("a malformed secret is not repeated in the message")
    func malformedSecret() {
        #expect(throws: UsageError("--secret-env must look like KEY=VALUE.", path: ["try"])) {
            try spec("service", ["--secret-env", "hunter2"])
        }
    }

    @Test("numbers and opposites are checked")
    func checks() {
        #expect(throws: UsageError("--port must be a whole number.", path: ["try"])) {
            try spec("service", ["--port", "http"])
        }
        #expect(throws: UsageError("--strip-path and --no-strip-path exclude each other.", path: ["try"])) {
            try spec("service", ["--strip-path", "--no-strip-path"])
        }
    }

    @Test("every kind's options have names of their own", arguments: Catalog.kinds.map(\.name))
    func unambiguous(name: String) throws {
        for command in Program.commands where command.answers(to: name) {
            for verb in command.subcommands {
                let names = verb.options.flatMap { [$0.name] + $0.aliases }
                #expect(Set(names).count == names.count, "\(name) \(verb.name): \(names)")
                let letters = verb.options.compactMap(\.short)
                #expect(Set(letters).count == letters.count)
                #expect(!names.contains("help"))
            }
        }
    }

    @Test("an update adds entries to maps and keeps what it does not name")
    func merging() throws {
        let fields = try #require(Catalog.kind(named: "service")).fields
        let current: JSONValue = [
            "env": ["A": "1", "S": ["secret": true]], "health_check": ["path": "/up", "interval": "5s"],
            "hostnames": ["a.example.org"],
        ]
        let spec: [String: JSONValue] = [
            "env": ["B": "2"], "health_check": ["interval": "1s"], "hostnames": ["b.example.org"],
        ]
        let merged = SpecChanges.merged(spec, into: current, fields: fields)
        #expect(merged["env"] == ["A": "1", "B": "2", "S": ["secret": true]])
        #expect(merged["health_check"] == ["path": "/up", "interval": "1s"])
        #expect(merged["hostnames"] == ["b.example.org"])
        let cleared = try SpecChanges.clearing(
            ["env.A", "git-ref", "health-check.path"], in: merged, of: current, fields: fields, path: [])
        #expect(cleared["env"] == ["B": "2", "S": ["secret": true]])
        #expect(cleared["git_ref"] == .null)
        #expect(cleared["health_check"] == ["interval": "1s"])
        #expect(throws: UsageError.self) {
            try SpecChanges.clearing(["env.NONE"], in: merged, of: current, fields: fields, path: [])
        }
    }
}
