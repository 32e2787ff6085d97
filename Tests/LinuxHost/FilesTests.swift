import Glibc
import Host
import LinuxHost
import Model
import Testing

/// The live file system.
@Suite(.timeLimit(.minutes(2)))
struct FilesTests {
    let bench = Workbench()
    let files = LiveFiles()
    var base: String { bench.path }

    @Test func writesAtomicallyWithItsMode() async throws {
        let path = "\(base)/a/b/file"
        #expect(try await files.read(path, bytesMax: 10) == nil)
        #expect(try await files.size(path) == nil)
        let before = umask(0o077)
        defer { umask(before) }
        try await files.write(path, Array("one".utf8), mode: 0o640)
        try await files.write(path, Array("two".utf8), mode: 0o604)
        #expect(try await files.read(path, bytesMax: 3) == Array("two".utf8))
        #expect(try await files.size(path) == 3)
        #expect(try await files.list("\(base)/a/b") == ["file"], "no temporary file stays")
        #expect(try await bench.run(["stat", "-c", "%a", path]) == "604\n")
        #expect(await problemCode { _ = try await files.read(path, bytesMax: 2) } == .tooLarge)
        try await files.sync("\(base)/a")
        #expect(await problemCode { try await files.sync("\(base)/missing") } == .storage)
    }

    /// Readers see one content or the other while writers replace it.
    @Test func readersNeverSeeAPart() async throws {
        let path = "\(base)/shared"
        let contents = [UInt8](0..<4).map { [UInt8](repeating: $0, count: 300_000) }
        try await files.write(path, contents[0], mode: 0o644)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for content in contents {
                group.addTask { for _ in 0..<10 { try await files.write(path, content, mode: 0o644) } }
                group.addTask {
                    for _ in 0..<30 {
                        let seen = try await files.read(path, bytesMax: 1_000_000)
                        #expect(contents.contains { $0 == seen })
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func appendsAndReadsParts() async throws {
        let path = "\(base)/log"
        try await files.append(path, Array("abc".utf8), mode: 0o600)
        try await files.append(path, Array("defg".utf8), mode: 0o600)
        #expect(try await files.read(path, offset: 2, count: 3) == Array("cde".utf8))
        #expect(try await files.read(path, offset: 5, count: 100) == Array("fg".utf8))
        #expect(try await files.read(path, offset: 7, count: 1) == [])
        #expect(try await files.read("\(base)/none", offset: 0, count: 1) == [])
    }

    @Test func removesTreesWithoutFollowingLinks() async throws {
        try await files.write("\(base)/keep/file", [1], mode: 0o644)
        try await files.write("\(base)/tree/deep/er/file", [1], mode: 0o644)
        symlink("\(base)/keep", "\(base)/tree/link")
        symlink("\(base)/keep", "\(base)/outer")
        try await files.remove("\(base)/tree")
        try await files.remove("\(base)/outer")
        try await files.remove("\(base)/never")
        #expect(try await files.list(base) == ["keep"])
        #expect(try await files.list("\(base)/keep") == ["file"])
    }

    /// A build can nest folders deeper than a path may be long.
    @Test func removesTreesOfAnyDepth() async throws {
        let script =
            "import os\nos.mkdir('deep'); os.chdir('deep')\n"
            + "for i in range(3000):\n    os.mkdir('d' * 100); os.chdir('d' * 100)\n"
        try await bench.run(["python3", "-c", script])
        try await files.remove("\(base)/deep")
        #expect(try await files.list(base) == [])
    }

    @Test(.enabled(if: geteuid() == 0)) func givesTreesWithoutFollowingLinks() async throws {
        try await files.write("\(base)/keep/file", [1], mode: 0o644)
        try await files.write("\(base)/tree/deep/file", [1], mode: 0o644)
        symlink("\(base)/keep", "\(base)/tree/link")
        try await files.give("\(base)/tree", to: "nobody")
        let owners = try await bench.run(["stat", "-c", "%U", "tree", "tree/deep/file", "tree/link", "keep/file"])
        #expect(owners == "nobody\nnobody\nnobody\nroot\n")
        #expect(await problemCode { try await files.give("\(base)/tree", to: "no-such-account") } == .notFound)
    }

    @Test func seesThroughLinksThatLeaveAFolder() async throws {
        try await files.makeFolder("\(base)/in/sub", mode: 0o755)
        try await files.makeFolder("\(base)/inside", mode: 0o755)
        symlink("/etc", "\(base)/in/escape")
        symlink("\(base)/in/sub", "\(base)/in/fine")
        #expect(try await files.isFolder("\(base)/in/sub", below: "\(base)/in"))
        #expect(try await files.isFolder("\(base)/in/fine", below: "\(base)/in"))
        #expect(try await !files.isFolder("\(base)/in/escape", below: "\(base)/in"))
        #expect(try await !files.isFolder("\(base)/in/../inside", below: "\(base)/in"))
        #expect(try await !files.isFolder("\(base)/in/none", below: "\(base)/in"))
    }

    @Test func movesAndMeasures() async throws {
        try await files.write("\(base)/a", [1], mode: 0o644)
        try await files.write("\(base)/b/c", [2], mode: 0o644)
        try await files.move("\(base)/a", to: "\(base)/b/c")
        #expect(try await files.read("\(base)/b/c", bytesMax: 1) == [1])
        #expect(await problemCode { try await files.move("\(base)/a", to: "\(base)/x") } == .storage)
        let space = try await files.space(base)
        #expect(space.freeBytes > 0 && space.totalBytes >= space.freeBytes)
    }

    @Test(.enabled(if: geteuid() == 0)) func aFullDiskIsToldAndLeavesTheOldContent() async throws {
        try await bench.run(["mkdir", "small"])
        try await bench.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "\(base)/small"])
        defer { umount2("\(base)/small", Int32(MNT_DETACH)) }
        try await files.write("\(base)/small/file", [1, 2, 3], mode: 0o644)
        #expect(
            await problemCode {
                try await files.write("\(base)/small/file", [UInt8](repeating: 0, count: 200_000), mode: 0o644)
            } == .storage)
        #expect(try await files.read("\(base)/small/file", bytesMax: 10) == [1, 2, 3])
        #expect(try await files.list("\(base)/small") == ["file"])
    }

    @Test(arguments: ["relative", "", "/a\0b"])
    func refusesPathsThatAreNotAbsolute(_ path: String) async throws {
        #expect(await problemCode { try await files.write(path, [], mode: 0o644) } == .invalid)
        #expect(await problemCode { try await files.remove(path) } == .invalid)
    }
}
