import Testing

@Suite("Imports")
struct ImportTests {
    /// What comes with the toolchain. `Foundation` is not here: it links ICU, which costs 60 MB.
    private static let system: Set<String> = [
        "Glibc", "FoundationEssentials", "Synchronization", "Testing", "Dispatch", "_Concurrency",
    ]

    /// Modules besides the one of the same name that come with a product.
    private static let modules: [String: Set<String>] = [
        // Its API is written in these types, and it is not usable without them.
        "Hummingbird": ["HTTPTypes", "HummingbirdCore"],
        // Needed by its public inout types.
        "GRDB": ["GRDBSQLite"],
    ]

    /// Layers from below to above; an import goes downwards or stays.
    private static let layers: [(name: String, targets: @Sendable (Manifest.Target) -> Bool)] = [
        ("Model", { ["Model", "CRoost"].contains($0.name) }),
        ("Host and Protocol", { ["Host", "AgentProtocol", "CertificateReading"].contains($0.name) }),
        ("ResourceKit", { ["ResourceKit", "Workflow"].contains($0.name) }),
        ("Resources", { $0.path.hasPrefix("Resources/") }), ("Catalog", { $0.name == "Catalog" }),
        (
            "Hub, Node, CLI",
            { target in
                ["Sources/Hub", "Sources/Node", "Sources/CLI", "Sources/Example"].contains { target.path.hasPrefix($0) }
            }
        ), ("Roost and tests", { _ in true }),
    ]

    private func imports(_ file: SourceTree.File) -> [String] {
        var isInString = false
        return file.lines.enumerated().compactMap { index, line in
            // Programs of other languages are written inside strings, and import things of their own.
            if line.contains("\"\"\"") { isInString.toggle() }
            if isInString { return nil }
            // The branch for systems that have no FoundationEssentials.
            if index > 0, file.lines[index - 1] == "#else" { return nil }
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: "import"), place + 1 < words.count,
                words[..<place].allSatisfy({
                    ["public", "internal", "package", "private", "@testable", "@preconcurrency", "@_exported"].contains(
                        $0)
                })
            else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "typealias", "var"]
            let module = kinds.contains(words[place + 1]) ? words[place + 2] : words[place + 1]
            return String(module.split(separator: ".")[0])
        }
    }

    @Test("every import is a declared dependency")
    func declared() throws {
        let manifest = try Manifest.loaded.get()
        var flaws: [String] = []
        // The fuzzer compiles the readers that it aims at by itself, with a main function of its own.
        for file in try SourceTree.swift.get() where !file.path.hasPrefix("Tests/Fuzz/") {
            guard let target = manifest.targets.values.first(where: { $0.holds(file.path) }) else {
                flaws.append("\(file.path) belongs to no target")
                continue
            }
            let modules = target.products.flatMap { Array(Self.modules[$0] ?? []) }
            let allowed = Self.system.union(target.targets).union(target.products).union(modules)
            for name in imports(file) where !allowed.contains(name) {
                flaws.append("\(file.path): \(target.name) imports \(name), which it does not declare")
            }
        }
        report(flaws)
    }

    @Test("dependencies point one way")
    func direction() throws {
        let manifest = try Manifest.loaded.get()
        func layer(_ target: Manifest.Target) -> Int { Self.layers.firstIndex { $0.targets(target) } ?? 0 }
        var flaws: [String] = []
        for target in manifest.targets.values where !target.isTest {
            for name in target.targets {
                guard let other = manifest.targets[name], layer(other) > layer(target) else { continue }
                flaws.append("\(target.name) depends on \(name), which is above it")
            }
        }
        report(flaws)
    }

    @Test("hub and node never meet")
    func separation() throws {
        let manifest = try Manifest.loaded.get()
        func names(_ folder: String) -> Set<String> {
            Set(manifest.targets.values.filter { $0.path.hasPrefix(folder) && !$0.isTest }.map(\.name))
        }
        let (hub, node) = (names("Sources/Hub/"), names("Sources/Node/"))
        #expect(!hub.isEmpty && !node.isEmpty)
        for name in hub { #expect(manifest.reachable(from: name).isDisjoint(with: node), "\(name) reaches the node") }
        for name in node { #expect(manifest.reachable(from: name).isDisjoint(with: hub), "\(name) reaches the hub") }
    }

    @Test("database, network and web server are out of the reach of resources")
    func purity() throws {
        let manifest = try Manifest.loaded.get()
        for target in manifest.targets.values where target.path.hasPrefix("Resources/") && !target.isTest {
            let products = manifest.products(from: target.name)
            #expect(products.isSubset(of: ["Crypto", "CryptoExtras"]), "\(target.name) reaches \(products.sorted())")
        }
        #expect(manifest.products(from: "Model").isEmpty)
        #expect(manifest.products(from: "ResourceKit").isSubset(of: ["Crypto"]))
    }

    @Test("catalogue, folders and manifest name the same families")
    func families() throws {
        let manifest = try Manifest.loaded.get()
        let folders = try SourceTree.names(in: "Resources").filter { SourceTree.isFolder("Resources/\($0)") }
        let targets = manifest.targets.values.filter { $0.path.hasPrefix("Resources/") && !$0.isTest }
        #expect(Set(targets.map(\.path)) == Set(folders.map { "Resources/\($0)" }))
        let catalog = imports(try SourceTree.file("Sources/Catalog/Catalog.swift")).filter { $0.hasSuffix("Resources") }
        #expect(Set(catalog) == Set(targets.map(\.name)))
        for folder in folders {
            #expect(SourceTree.exists("Resources/\(folder)/README.md"), "\(folder) says what it is in a README.md")
            let tests = try SourceTree.paths(below: "Resources/\(folder)/Tests").filter { $0.hasSuffix(".swift") }
            #expect(!tests.isEmpty, "\(folder) has no tests")
        }
    }

    @Test("every test target has tests")
    func testTargets() throws {
        for target in try Manifest.loaded.get().targets.values where target.isTest {
            let files = try SourceTree.swift.get().filter { target.holds($0.path) }
            #expect(files.contains { $0.text.contains("@Test") }, "\(target.name) has no test")
        }
    }
}
