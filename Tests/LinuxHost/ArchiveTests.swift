import Glibc
import Host
import LinuxHost
import Model
import Testing

/// Uploaded archives, with the real tar and bsdtar.
@Suite(.timeLimit(.minutes(2)))
struct ArchiveTests {
    let bench = Workbench()
    let archives = LiveArchives()
    let files = LiveFiles()

    private func tree() async throws -> String {
        let folder = "\(bench.path)/tree"
        try await files.write("\(folder)/index.html", Array("<h1>hello</h1>".utf8), mode: 0o644)
        try await files.write("\(folder)/css/a b.css", Array("body {}".utf8), mode: 0o644)
        return folder
    }

    /// Runs Python, which can write what no archiver would.
    private func python(_ program: String) async throws {
        try await bench.run(["python3", "-c", program, bench.path])
    }

    @Test func takesTarAndGzipAndZip() async throws {
        let folder = try await tree()
        try await bench.run(["tar", "-cf", "\(bench.path)/a.tar", "-C", folder, "."])
        try await bench.run(["tar", "-czf", "\(bench.path)/a.tar.gz", "-C", folder, "."])
        try await python(
            "import sys, shutil; shutil.make_archive(sys.argv[1] + '/a', 'zip', sys.argv[1] + '/tree')")
        for name in ["a.tar", "a.tar.gz", "a.zip"] {
            let path = "\(bench.path)/\(name)"
            let contents = try await archives.adopt(path, timeout: .seconds(30))
            #expect(contents == ArchiveContents(files: 2, sizeBytes: 21), "\(name)")
            let target = "\(bench.path)/out-\(name)"
            try await archives.unpack(path, to: target, timeout: .seconds(30))
            #expect(try await files.read("\(target)/css/a b.css", bytesMax: 100) == Array("body {}".utf8))
        }
    }

    @Test func refusesWhatIsNoArchive() async throws {
        let path = "\(bench.path)/x"
        let contents: [[UInt8]] = [
            [0], Array("hello".utf8), [0x1F, 0x8B, 8, 0, 1, 2], Array("PK\u{3}\u{4}broken".utf8),
            [UInt8](repeating: 0, count: 10_240),
        ]
        for bytes in contents {
            try await files.write(path, bytes, mode: 0o600)
            let code = await problemCode { _ = try await archives.adopt(path, timeout: .seconds(30)) }
            #expect(code == .invalid, "\(bytes.prefix(8))")
        }
    }

    @Test func nothingLeadsOutside() async throws {
        let entries = [
            "entry('../outside')", "entry('/etc/outside')", "entry('a/../../outside')",
            "entry('device', tarfile.CHRTYPE)", "entry('fifo', tarfile.FIFOTYPE)",
        ]
        for made in entries {
            try await python(Self.tarProgram + made)
            let code = await problemCode { _ = try await archives.adopt("\(bench.path)/x.tar", timeout: .seconds(30)) }
            #expect(code == .invalid, "\(made)")
        }
        // A link that is then written through: tar itself must not follow it.
        try await python(Self.tarProgram + "entry('way', tarfile.SYMTYPE, link=sys.argv[1]); entry('way/outside')")
        let target = "\(bench.path)/out"
        _ = await problemCode { try await archives.unpack("\(bench.path)/x.tar", to: target, timeout: .seconds(30)) }
        #expect(try await files.size("\(bench.path)/outside") == nil)
    }

    private static let tarProgram = """
        import io, sys, tarfile
        out = tarfile.open(sys.argv[1] + '/x.tar', 'w')
        def entry(name, kind=tarfile.REGTYPE, link=''):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = link
            body = b'x' if kind == tarfile.REGTYPE else b''
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
            out.fileobj.flush()
        import atexit
        atexit.register(lambda: out.close())

        """

    @Test func ownersAndSpecialBitsCountForNothing() async throws {
        try await python(
            Self.tarProgram + """
                info = tarfile.TarInfo('tool'); info.mode = 0o4777; info.uid = 65534; info.size = 0
                out.addfile(info, io.BytesIO(b''))
                """)
        let path = "\(bench.path)/x.tar"
        _ = try await archives.adopt(path, timeout: .seconds(30))
        try await archives.unpack(path, to: "\(bench.path)/out", timeout: .seconds(30))
        var info = stat()
        #expect(stat("\(bench.path)/out/tool", &info) == 0)
        #expect(info.st_uid == getuid() && info.st_mode & 0o6022 == 0)
    }

    @Test func aFolderKeepsUploadsByDigest() async throws {
        let folder = try await tree()
        try await bench.run(["tar", "-czf", "\(bench.path)/a.tar.gz", "-C", folder, "."])
        let bytes = try #require(try await files.read("\(bench.path)/a.tar.gz", bytesMax: 1 << 20))
        let uploads = UploadFolder(folder: "\(bench.path)/uploads")
        let halves = [Array(bytes[..<40]), Array(bytes[40...])]
        let stored = try await uploads.receive(Self.stream(halves))
        #expect(stored.sizeBytes == Int64(bytes.count) && stored.contents.files == 2)
        #expect(try await uploads.read(stored.digest, offset: 40, count: 10) == Array(bytes[40..<50]))
        #expect(try await uploads.read("../a.tar.gz", offset: 0, count: 10) == nil)
        // One that breaks off, and one that is none, leave nothing behind.
        let broken = await problemCode { _ = try await uploads.receive(Self.stream([Array(bytes[..<60])])) }
        #expect(broken == .invalid)
        #expect(await problemCode { _ = try await uploads.receive(Self.stream([])) } == .invalid)
        #expect(try await files.list("\(bench.path)/uploads") == [stored.digest])
        try await uploads.keepOnly([], olderThan: .seconds(60))
        #expect(try await files.list("\(bench.path)/uploads") == [stored.digest])
        try await uploads.keepOnly([], olderThan: .seconds(-2))
        #expect(try await files.list("\(bench.path)/uploads").isEmpty)
    }

    private static func stream(_ pieces: [[UInt8]]) -> AsyncStream<[UInt8]> {
        AsyncStream { continuation in
            for piece in pieces { continuation.yield(piece) }
            continuation.finish()
        }
    }
}
