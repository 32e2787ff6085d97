import Glibc
public import Host
import Model

/// Archives by tar(1); zip by way of bsdtar(1), which only the machine that takes uploads needs.
public struct LiveArchives: Archives {
    /// Entries of one archive.
    public static let entriesMax = 200_000
    /// Size of all files together, unpacked, in bytes.
    public static let contentBytesMax: Int64 = 10_737_418_240
    /// A listing of the most entries with names of a usual length.
    private static let listingBytesMax = 67_108_864

    private let commands: any Commands

    public init(commands: any Commands = LiveCommands()) { self.commands = commands }

    public func adopt(_ path: String, timeout: Duration) async throws -> ArchiveContents {
        let files = LiveFiles()
        let start = try await files.read(path, offset: 0, count: 512)
        if start.starts(with: [0x50, 0x4B]) {
            try await convert(path, timeout: timeout)
        } else if !start.starts(with: [0x1F, 0x8B]), !Self.isTar(start) {
            throw Problem(
                .invalid, "The upload is neither a tar, nor a tar.gz, nor a zip archive.",
                hint: "Make one with: tar -czf site.tar.gz -C FOLDER .")
        }
        let listing = try await commands.run(
            Command(
                ["tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=escape", "--file", path],
                timeout: timeout, outputBytesMax: Self.listingBytesMax))
        guard listing.succeeded else { throw Self.broken(listing) }
        guard !listing.truncated else {
            throw Problem(.tooLarge, "The archive has more than \(Self.entriesMax) entries.")
        }
        return try Self.contents(of: listing.output)
    }

    public func unpack(_ path: String, to folder: String, timeout: Duration) async throws {
        let files = LiveFiles()
        try await files.remove(folder)
        try await files.makeFolder(folder, mode: 0o755)
        let result = try await commands.run(
            Command(
                [
                    "tar", "--extract", "--no-same-owner", "--no-same-permissions", "--delay-directory-restore",
                    "--file", path, "--directory", folder,
                ], timeout: timeout))
        guard result.succeeded else { throw Self.broken(result) }
    }

    /// POSIX.1-1988 and GNU tar say so at byte 257.
    static func isTar(_ start: [UInt8]) -> Bool {
        start.count >= 262 && Array(start[257..<262]) == Array("ustar".utf8)
    }

    private func convert(_ path: String, timeout: Duration) async throws {
        let target = "\(path).tar"
        let result: CommandResult
        do {
            result = try await commands.run(
                Command(["bsdtar", "--create", "--format=pax", "--file", target, "@\(path)"], timeout: timeout))
        } catch let problem as Problem where problem.code == .commandFailed {
            throw Problem(
                .unavailable, "The hub cannot read zip archives, because bsdtar is not installed on it.",
                hint: "Send a tar.gz instead, or install the package libarchive-tools on the hub.",
                context: problem.message)
        }
        guard result.succeeded else {
            try await LiveFiles().remove(target)
            throw Self.broken(result)
        }
        try await LiveFiles().move(target, to: path)
    }

    private static func broken(_ result: CommandResult) -> Problem {
        let why = result.errorText.split(separator: "\n").first.map { ": \($0.suffix(200))" } ?? "."
        return Problem(.invalid, "The archive cannot be read\(why)", context: result.errorText)
    }

    /// Reads `tar --list --verbose`: mode, owner, size, date, time, name.
    static func contents(of listing: [UInt8]) throws -> ArchiveContents {
        var contents = ArchiveContents(files: 0, sizeBytes: 0)
        var entries = 0
        for line in listing.split(separator: 0x0A) {
            entries += 1
            guard entries <= entriesMax else {
                throw Problem(.tooLarge, "The archive has more than \(entriesMax) entries.")
            }
            let columns = line.split(separator: 0x20, maxSplits: 5, omittingEmptySubsequences: true)
            guard columns.count == 6, let kind = columns[0].first else {
                throw Problem(.invalid, "The archive has an entry without a name.")
            }
            let text = String(decoding: columns[5], as: UTF8.self)
            switch kind {
            case UInt8(ascii: "-"):
                contents.files += 1
                contents.sizeBytes += Int64(String(decoding: columns[2], as: UTF8.self)) ?? 0
            case UInt8(ascii: "d"): break
            case UInt8(ascii: "l"), UInt8(ascii: "h"): break
            default: throw Problem(.invalid, "The archive has an entry that is no file, folder or link: \(text).")
            }
            try check(name: text)
            guard contents.sizeBytes <= contentBytesMax else {
                throw Problem(.tooLarge, "The archive has more than \(contentBytesMax) bytes when unpacked.")
            }
        }
        guard contents.files > 0 else { throw Problem(.invalid, "The archive has no files.") }
        return contents
    }

    /// tar itself keeps such names inside; a sender should hear of them all the same.
    private static func check(name: String) throws {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let beforeArrow = parts.prefix { !$0.contains(" -> ") && !$0.contains(" link to ") }
        guard !name.hasPrefix("/"), !beforeArrow.contains("..") else {
            throw Problem(.invalid, "The archive has a name that leads outside of it: \(name.prefix(200)).")
        }
    }
}
