import Glibc
import Model
import Testing

/// The package manifest as SwiftPM reads it.
struct Manifest {
    /// One target.
    struct Target {
        var name: String
        var path: String
        var isTest: Bool
        /// Targets of this package.
        var targets: Set<String>
        /// Products of others.
        var products: Set<String>
        /// Folders below `path` that are not part of it.
        var excluded: [String]
        /// Folders below `path` that are all of it; all when empty.
        var sources: [String]

        func holds(_ file: String) -> Bool {
            guard file.hasPrefix(path + "/") else { return false }
            let rest = file.dropFirst(path.count + 1)
            guard !excluded.contains(where: { rest == $0 || rest.hasPrefix($0 + "/") }) else { return false }
            return sources.isEmpty || sources.contains { rest == $0 || rest.hasPrefix($0 + "/") }
        }
    }

    static let loaded: Result<Manifest, any Error> = Result { try Manifest() }

    var targets: [String: Target] = [:]

    /// Asks SwiftPM, which knows best. Its lock is held by the test run, so it gets a scratch folder of its own.
    private init() throws {
        let scratch = "/tmp/roost-tidy-\(getpid())"
        let output = "\(scratch).json"
        defer { unlink(output) }
        let status = try Self.run(
            ["swift", "package", "--package-path", SourceTree.root, "--scratch-path", scratch, "dump-package"], output)
        _ = try Self.run(["rm", "-rf", scratch], "/dev/null")
        try #require(status == 0, "swift package dump-package failed")
        let value = try JSONParser.parse(try Self.contents(output))
        for entry in value["targets"]?.arrayValue ?? [] {
            guard let name = entry["name"]?.stringValue, let path = entry["path"]?.stringValue else { continue }
            var target = Target(
                name: name, path: path, isTest: entry["type"] == "test", targets: [], products: [],
                excluded: (entry["exclude"]?.arrayValue ?? []).compactMap(\.stringValue),
                sources: (entry["sources"]?.arrayValue ?? []).compactMap(\.stringValue))
            for dependency in entry["dependencies"]?.arrayValue ?? [] {
                if let own = dependency["byName"]?.arrayValue?.first?.stringValue { target.targets.insert(own) }
                if let own = dependency["target"]?.arrayValue?.first?.stringValue { target.targets.insert(own) }
                if let other = dependency["product"]?.arrayValue?.first?.stringValue { target.products.insert(other) }
            }
            targets[name] = target
        }
    }

    /// All targets that a target reaches.
    func reachable(from name: String) -> Set<String> {
        var found: Set<String> = []
        var pending = [name]
        while let next = pending.popLast() {
            for other in targets[next]?.targets ?? [] where found.insert(other).inserted { pending.append(other) }
        }
        return found
    }

    /// All products of others that a target reaches.
    func products(from name: String) -> Set<String> {
        reachable(from: name).union([name]).reduce(into: []) { $0.formUnion(targets[$1]?.products ?? []) }
    }

    private static func contents(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    private static func run(_ argv: [String], _ output: String) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var words = argv.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var process: pid_t = 0
        try #require(posix_spawnp(&process, argv[0], &actions, nil, &words, environ) == 0, "\(argv[0]) cannot be run")
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status
    }
}
