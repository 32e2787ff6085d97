import AgentProtocol
import Host
import Model
import Synchronization

/// A disk in memory. It outlives the agents that write to it, as a disk outlives a power cut.
final class SimulatedDisk: Files {
    private struct State {
        var files: [String: [UInt8]] = [:]
        var folders: Set<String> = ["/"]
        var isFull = false
        /// Names in each folder, of files and of folders.
        var names: [String: Set<String>] = [:]

        mutating func addName(_ path: String) {
            var path = path[...]
            while let slash = path.lastIndex(of: "/") {
                let isNew = names[String(path[..<slash]), default: []].insert(String(path[path.index(after: slash)...]))
                    .inserted
                guard isNew else { return }
                path = path[..<slash]
            }
        }

        mutating func removeName(_ path: String) {
            guard let slash = path.lastIndex(of: "/") else { return }
            names[String(path[..<slash])]?.remove(String(path[path.index(after: slash)...]))
        }

        mutating func removeAll(below folder: String) {
            for name in names.removeValue(forKey: folder) ?? [] {
                let path = "\(folder)/\(name)"
                files.removeValue(forKey: path)
                folders.remove(path)
                removeAll(below: path)
            }
        }
    }

    private let state = Mutex(State())

    func read(_ path: String, bytesMax: Int) async throws -> [UInt8]? { state.withLock { $0.files[path] } }

    func read(_ path: String, offset: Int64, count: Int) async throws -> [UInt8] {
        state.withLock { state in
            guard let bytes = state.files[path], offset < bytes.count else { return [] }
            return Array(bytes[Int(offset)..<min(bytes.count, Int(offset) + count)])
        }
    }

    func size(_ path: String) async throws -> Int64? { state.withLock { $0.files[path].map { Int64($0.count) } } }

    func digest(_ path: String) async throws -> String? { state.withLock { $0.files[path].map { sha256Hex($0) } } }

    func setFull(_ isFull: Bool) { state.withLock { $0.isFull = isFull } }

    private func checkRoom(_ path: String) throws {
        if state.withLock({ $0.isFull }) { throw Problem(.storage, "The disk that holds \(path) is full.") }
    }

    func write(_ path: String, _ bytes: [UInt8], mode: UInt16) async throws {
        try checkRoom(path)
        put(path, bytes)
    }

    func put(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            Self.makeParents(of: path, &state)
            state.files[path] = bytes
        }
    }

    func append(_ path: String, _ bytes: [UInt8], mode: UInt16) async throws {
        try checkRoom(path)
        state.withLock { state in
            Self.makeParents(of: path, &state)
            state.files[path, default: []] += bytes
        }
    }

    func list(_ folder: String) async throws -> [String] {
        state.withLock { $0.names[folder]?.sorted() ?? [] }
    }

    func makeFolder(_ path: String, mode: UInt16) async throws {
        state.withLock { state in
            Self.makeParents(of: path, &state)
            state.folders.insert(path)
        }
    }

    func remove(_ path: String) async throws {
        state.withLock { state in
            state.files.removeValue(forKey: path)
            state.folders.remove(path)
            state.removeName(path)
            state.removeAll(below: path)
        }
    }

    func move(_ path: String, to target: String) async throws {
        state.withLock { state in
            state.files[target] = state.files.removeValue(forKey: path)
            state.removeName(path)
            state.addName(target)
        }
    }

    func give(_ path: String, to user: String) async throws {}

    func isFolder(_ path: String, below base: String) async throws -> Bool {
        state.withLock { $0.folders.contains(path) && (path == base || path.hasPrefix(base + "/")) }
    }

    /// Others write to this disk at once and for good.
    func sync(_ path: String) async throws {}

    func measure(_ folder: String) async throws -> TreeSize {
        state.withLock { state in
            let files = state.files.filter { $0.key.hasPrefix(folder + "/") }
            return TreeSize(files: files.count, bytes: files.values.reduce(0) { $0 + Int64($1.count) })
        }
    }

    func space(_ path: String) async throws -> (freeBytes: Int64, totalBytes: Int64) { (1 << 40, 1 << 41) }

    func contains(_ path: String) -> Bool { state.withLock { $0.files[path] != nil } }

    func text(_ path: String) -> String? {
        state.withLock { $0.files[path] }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// All files, for comparing the end states of two runs.
    func paths(below folder: String) -> [String] {
        state.withLock { $0.files.keys.filter { $0.hasPrefix(folder + "/") } }.sorted()
    }

    private static func makeParents(of path: String, _ state: inout State) {
        state.addName(path)
        var parent = path[...]
        while let slash = parent.lastIndex(of: "/"), slash > parent.startIndex {
            parent = parent[..<slash]
            guard state.folders.insert(String(parent)).inserted else { return }
        }
    }
}
