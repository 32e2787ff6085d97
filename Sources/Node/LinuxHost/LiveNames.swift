import Glibc
public import Host
import Model
import Supervisor

/// Makes internal names resolvable: by split DNS where systemd-resolved answers for this machine, by an owned block in
/// the hosts file elsewhere. What is there already is not written again.
public struct LiveNames: InternalNames {
    private let commands: any Commands
    private let hostsPath: String
    private let dropInPath: String

    /// - Parameters:
    ///   - hostsPath, dropInPath: Other files than the system's, for tests.
    public init(
        commands: any Commands = LiveCommands(), hostsPath: String = "/etc/hosts",
        dropInPath: String = "/etc/systemd/resolved.conf.d/roost.conf"
    ) {
        self.commands = commands
        self.hostsPath = hostsPath
        self.dropInPath = dropInPath
    }

    public func apply(names: [String], suffix: String, address: String, dnsAddress: String) async throws {
        for name in names {
            if let flaw = Names.hostnameFlaw(name) { throw Problem.invalid("names", "\(name) \(flaw)") }
        }
        if let flaw = Names.hostnameFlaw(suffix) { throw Problem.invalid("suffix", flaw) }
        for text in [address, dnsAddress] {
            guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
                throw Problem.invalid("address", "must be an IP address")
            }
        }
        if try await resolvedServes(except: dnsAddress) {
            try await setDropIn(
                "# Written by Roost; removed with it.\n[Resolve]\nDNS=\(dnsAddress)\nDomains=~\(suffix)\n")
            try await setBlock([])
        } else {
            try await setDropIn(nil)
            try await setBlock(names.map { "\(address) \($0.hasSuffix(suffix) ? $0 : "\($0).\(suffix)")" })
        }
    }

    public func remove() async throws {
        try await setDropIn(nil)
        try await setBlock([])
    }

    // MARK: - systemd-resolved

    /// Whether programs ask systemd-resolved, and it knows servers other than ours for all the other names.
    private func resolvedServes(except ours: String) async throws -> Bool {
        guard geteuid() == 0, SystemdPresence.isManager else { return false }
        let active = try await commands.run(
            Command(["systemctl", "is-active", "--quiet", "systemd-resolved.service"], timeout: .seconds(10)))
        guard active.succeeded else { return false }
        let stub = try await servers("/etc/resolv.conf")
        let upstream = try await servers("/run/systemd/resolve/resolv.conf")
        let own = ours.split(separator: ":").first.map(String.init)
        return stub.contains("127.0.0.53") && upstream.contains { $0 != own }
    }

    private func servers(_ path: String) async throws -> [String] {
        let bytes = try await LiveFiles().read(path, bytesMax: 65_536) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            return words.count >= 2 && words[0] == "nameserver" ? String(words[1]) : nil
        }
    }

    private func setDropIn(_ content: String?) async throws {
        let files = LiveFiles()
        let present = try await files.read(dropInPath, bytesMax: 65_536)
        guard present != content.map({ Array($0.utf8) }) else { return }
        if let content {
            try await files.write(dropInPath, Array(content.utf8), mode: 0o644)
        } else {
            try await files.remove(dropInPath)
        }
        let reloaded = try await commands.run(
            Command(
                ["systemctl", "reload-or-restart", "systemd-resolved.service"], timeout: .seconds(30)))
        guard reloaded.succeeded || content == nil else {
            throw Problem(
                .commandFailed, "systemd-resolved did not take the internal names.",
                context: "exit \(reloaded.exitCode ?? -1): \(reloaded.errorText.prefix(300))")
        }
    }

    // MARK: - Hosts file

    private static let begin = "# BEGIN roost internal names (generated; edits are lost)"
    private static let end = "# END roost internal names"

    private func setBlock(_ lines: [String]) async throws {
        let files = LiveFiles()
        let present = try await files.read(hostsPath, bytesMax: 16_777_216) ?? []
        let wanted = Self.replaceBlock(in: String(decoding: present, as: UTF8.self), with: lines)
        guard Array(wanted.utf8) != present else { return }
        let path = hostsPath
        try await BlockingThreads.shared.run { try Self.replaceHosts(path, Array(wanted.utf8)) }
    }

    /// The text with our block replaced, or without it when there are no lines.
    static func replaceBlock(in text: String, with lines: [String]) -> String {
        var kept: [Substring] = []
        var isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == begin { isInside = true }
            if !isInside { kept.append(line) }
            if line == end { isInside = false }
        }
        var out = kept.joined(separator: "\n")
        guard !lines.isEmpty else { return out }
        if !out.isEmpty, !out.hasSuffix("\n") { out += "\n" }
        return out + ([begin] + lines + [end]).joined(separator: "\n") + "\n"
    }

    /// Atomic where the file can be renamed over; in a container it may be a mount, and then it is written in place.
    private static func replaceHosts(_ path: String, _ bytes: [UInt8]) throws {
        var info = stat()
        let mode: mode_t = stat(path, &info) == 0 ? info.st_mode & 0o7777 : 0o644
        // Two agents on one machine must not write into each other's file.
        let temporary = "\(path).roost.\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        if descriptor >= 0 {
            defer {
                close(descriptor)
                unlink(temporary)
            }
            try FileCalls.writeAll(descriptor, bytes, temporary)
            fchmod(descriptor, mode)
            guard fsync(descriptor) == 0 else { throw systemProblem("fsync", temporary) }
            if rename(temporary, path) == 0 { return try FileCalls.syncFolder(FileCalls.folder(of: path)) }
            guard errno == EBUSY || errno == EXDEV || errno == EPERM else { throw systemProblem("rename", path) }
        }
        try writeInPlace(path, bytes)
    }

    private static func writeInPlace(_ path: String, _ bytes: [UInt8]) throws {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemProblem("open", path) }
        defer { close(descriptor) }
        // Longer first, cut after: at no time is the part in front of our block missing.
        try FileCalls.writeAll(descriptor, bytes, path)
        guard ftruncate(descriptor, off_t(bytes.count)) == 0, fsync(descriptor) == 0 else {
            throw systemProblem("ftruncate", path)
        }
    }
}
