import Glibc
import HubStore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

/// Power cuts, full disks and read-only files.
@Suite(.serialized) struct StoreFailureTests {
    /// A store killed in the middle of writes has everything that it acknowledged.
    @Test(arguments: [20, 60, 150]) func survivesKill(_ milliseconds: Int) async throws {
        let folder = TemporaryFolder()
        let path = folder.path
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, milliseconds = milliseconds as Int] in
            let store = try SQLiteStore(
                path: "\(path)/hub.sqlite", kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
            let receipts = open("\(path)/receipts", O_WRONLY | O_CREAT | O_APPEND, 0o600)
            Task.detached {
                try await Task.sleep(for: .milliseconds(milliseconds))
                kill(getpid(), SIGKILL)
            }
            await withTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        for number in 0..<1_000_000 {
                            let name = "w\(writer)-\(number)"
                            do {
                                _ = try await store.write { try $0.put(shelfRecord(name)) }
                            } catch {
                                exit(1)
                            }
                            let line = Array("id-\(name)\n".utf8)
                            _ = write(receipts, line, line.count)
                        }
                    }
                }
            }
        }
        let file = try #require(fopen("\(path)/receipts", "re"))
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 100)
        var acknowledged: [String] = []
        while fgets(&buffer, 99, file) != nil {
            let line = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if line.last == "\n" { acknowledged.append(String(line.dropLast())) }
        }
        let receipts = acknowledged
        let store = try SQLiteStore(
            path: "\(path)/hub.sqlite", kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        let missing = try await store.read { transaction in
            try receipts.filter { try transaction.get("shelf", $0) == nil }
        }
        #expect(missing.isEmpty)
        // Every record has its claim: no transaction was kept in part.
        let torn = try await store.read { transaction in
            try transaction.all("shelf", parentId: nil).filter { record in
                try transaction.claimHolder("shelf/\(record.spec["name"]?.stringValue ?? "")") != record.id
            }
        }
        #expect(torn.isEmpty)
        try await store.close()
    }

    @Test(.enabled(if: geteuid() == 0, "mounting a small disk needs root"))
    func saysThatTheDiskIsFullAndRecovers() async throws {
        let folder = TemporaryFolder()
        try #require(mount("tmpfs", folder.path, "tmpfs", 0, "size=3m") == 0)
        defer { umount2(folder.path, Int32(MNT_DETACH)) }
        let store = try SQLiteStore(
            path: "\(folder.path)/hub.sqlite", kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        _ = try await store.write { try $0.put(shelfRecord("first")) }
        let ballast = open("\(folder.path)/ballast", O_WRONLY | O_CREAT, 0o600)
        let block = [UInt8](repeating: 1, count: 4096)
        while write(ballast, block, block.count) == block.count {}
        let text = String(repeating: "x", count: 200_000)
        let refusal = try await problem {
            for number in 0..<50 {
                try await store.write { try $0.putCell("big", "\(number)", .string(text), expires: nil) }
            }
        }
        #expect(refusal.code == .storage)
        #expect(refusal.message.contains("full") || refusal.message.contains("disk"), "\(refusal.message)")
        #expect(refusal.hint != nil)
        // What was there can be read meanwhile.
        #expect(try await store.read { try $0.get("shelf", "id-first") } != nil)
        ftruncate(ballast, 0)
        close(ballast)
        _ = try await store.write { try $0.put(shelfRecord("second")) }
        #expect(try await store.read { try $0.get("shelf", "id-second") } != nil)
        try await store.close()
    }

    @Test(.enabled(if: geteuid() == 0, "mounting a small disk needs root"))
    func saysThatTheDatabaseIsReadOnly() async throws {
        let folder = TemporaryFolder()
        try #require(mount("tmpfs", folder.path, "tmpfs", 0, "size=8m") == 0)
        defer { umount2(folder.path, Int32(MNT_DETACH)) }
        let path = "\(folder.path)/hub.sqlite"
        var store = try SQLiteStore(path: path, kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        _ = try await store.write { try $0.put(shelfRecord("first")) }
        try await store.close()
        // Busy for a moment when another test starts a process, which holds all open files until its exec.
        var attempts = 0
        while mount(nil, folder.path, nil, UInt(MS_REMOUNT) | UInt(MS_RDONLY), nil) != 0 {
            attempts += 1
            try #require(errno == EBUSY && attempts < 200)
            try await Task.sleep(for: .milliseconds(50))
        }
        let refusal = try await problem {
            _ = try SQLiteStore(path: path, kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        }
        #expect(refusal.code == .storage && refusal.hint != nil)
        try #require(mount(nil, folder.path, nil, UInt(MS_REMOUNT), "size=8m") == 0)
        store = try SQLiteStore(path: path, kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        #expect(try await store.read { try $0.get("shelf", "id-first") } != nil)
        try await store.close()
    }

    @Test func filesAreTheOwnersAlone() async throws {
        let folder = TemporaryFolder()
        let store = try SQLiteStore(
            path: "\(folder.path)/hub.sqlite", kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        _ = try await store.write { try $0.put(shelfRecord("a")) }
        for name in ["hub.sqlite", "hub.sqlite-wal", "hub.sqlite-shm"] {
            var status = stat()
            try #require(stat("\(folder.path)/\(name)", &status) == 0)
            #expect(status.st_mode & 0o077 == 0)
        }
        try await store.close()
    }
}
