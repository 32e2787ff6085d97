import Example
import Model
import Testing

@Suite("Examples")
struct ExampleTests {
    @Test("the embedded sample applications are those of examples/sample")
    func embedded() throws {
        var onDisk: [String: [String: String]] = [:]
        for path in try SourceTree.paths(below: "examples/sample") where !path.contains("/public/") {
            let parts = path.split(separator: "/", maxSplits: 3).map(String.init)
            onDisk[parts[2], default: [:]][parts[3]] = try SourceTree.file(path).text + "\n"
        }
        #expect(onDisk == ExampleStack.repositories, "run `make examples`")
        let named = ExampleStack.services(base: "file:///x").compactMap { $0["git_url"]?.stringValue }
        #expect(Set(named) == Set(onDisk.keys.map { "file:///x/\($0)" }))
    }
}
