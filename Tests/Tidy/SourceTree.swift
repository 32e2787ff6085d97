import Glibc
import Testing

/// The files of the project, as they are on disk.
enum SourceTree {
    /// One text file.
    struct File: Sendable, CustomTestStringConvertible {
        /// Relative to the project's folder.
        var path: String
        var lines: [String]

        var testDescription: String { path }
        var name: String { path.split(separator: "/").last.map(String.init) ?? path }
        var text: String { lines.joined(separator: "\n") }
    }

    /// The project's folder, found from this file.
    static let root: String = {
        let here = realpath(#filePath, nil)
        defer { free(here) }
        let path = here.map { String(cString: $0) } ?? #filePath
        return path.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    }()

    /// All files below a folder whose names end in one of these, sorted by path.
    static func files(below folder: String, ending suffixes: [String]) throws -> [File] {
        var result: [File] = []
        for path in try paths(below: folder) where suffixes.contains(where: path.hasSuffix) {
            result.append(try file(path))
        }
        return result
    }

    static func file(_ path: String) throws -> File {
        let descriptor = open("\(root)/\(path)", O_RDONLY)
        try #require(descriptor >= 0, "\(path) cannot be opened")
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            bytes += buffer[..<count]
        }
        let text = String(decoding: bytes, as: UTF8.self)
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return File(path: path, lines: lines)
    }

    /// Paths of all files below a folder, relative to the project's. Hidden ones, which hold what tools make, are left
    /// out.
    static func paths(below folder: String) throws -> [String] {
        var result: [String] = []
        for name in try names(in: folder) where !name.hasPrefix(".") && name != "__pycache__" {
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            if isFolder(path) { result += try paths(below: path) } else { result.append(path) }
        }
        return result
    }

    static func names(in folder: String) throws -> [String] {
        let stream = try #require(opendir(folder.isEmpty ? root : "\(root)/\(folder)"), "\(folder) cannot be listed")
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat("\(root)/\(path)", &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    static func exists(_ path: String) -> Bool { access("\(root)/\(path)", F_OK) == 0 }

    /// Every Swift file of the project that a person writes. The one that is left out is made from examples/sample, and
    /// a test compares it with that.
    static let swift: Result<[File], any Error> = Result {
        try ["Sources", "Resources", "Tests", "Benchmarks"].flatMap { try files(below: $0, ending: [".swift"]) }
            .filter { $0.path != "Sources/Example/SampleFiles.swift" }
    }
}

/// Fails the test with a line per flaw.
func report(_ flaws: [String], location: Testing.SourceLocation = #_sourceLocation) {
    guard !flaws.isEmpty else { return }
    let shown = flaws.prefix(60) + (flaws.count > 60 ? ["and \(flaws.count - 60) more"] : [])
    Issue.record("\(flaws.count):\n\(shown.joined(separator: "\n"))", sourceLocation: location)
}
