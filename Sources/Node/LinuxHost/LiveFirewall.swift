import Glibc
public import Host
public import Model
import NodeFirewall

/// The firewall by nft(8): one table of our own, replaced in one transaction, beside those of Docker, ufw and others.
public struct LiveFirewall: Firewall {
    private let commands: any Commands
    private let sshFolder: String
    private static let timeout: Duration = .seconds(20)

    /// - Parameter sshFolder: Another folder than the system's, for tests.
    public init(commands: any Commands = LiveCommands(), sshFolder: String = "/etc/ssh") {
        self.commands = commands
        self.sshFolder = sshFolder
    }

    public func apply(_ rules: FirewallRules) async throws {
        let script = Array(try FirewallScript.replacing(with: rules).utf8)
        // What the kernel would refuse half-way is found here, while nothing has changed.
        _ = try await nft(["-c", "-f", "-"], input: script)
        _ = try await nft(["-f", "-"], input: script)
    }

    public func remove() async throws {
        let script = try FirewallScript.replacing(with: FirewallRules(mode: .open))
        _ = try await nft(["-f", "-"], input: Array(script.utf8))
    }

    public func content() async throws -> String? {
        let tables = try await nft(["-j", "list", "tables"])
        guard FirewallListing.holds(table: FirewallScript.table, in: try JSONParser.parse(tables)) else { return nil }
        let listing = try await nft(["-j", "list", "table", "inet", FirewallScript.table])
        return FirewallListing.content(try JSONParser.parse(listing))
    }

    public func sshPorts() async throws -> [Int] {
        let files = LiveFiles()
        var texts: [String] = []
        let parts = try await files.list("\(sshFolder)/sshd_config.d").filter { $0.hasSuffix(".conf") }
        for path in ["\(sshFolder)/sshd_config"] + parts.map({ "\(sshFolder)/sshd_config.d/\($0)" }) {
            if let bytes = try await files.read(path, bytesMax: 1_048_576) {
                texts.append(String(decoding: bytes, as: UTF8.self))
            }
        }
        return SSHConfiguration.ports(texts)
    }

    private func nft(_ arguments: [String], input: [UInt8] = []) async throws -> [UInt8] {
        guard geteuid() == 0 else { throw Problem(.unavailable, "setting up a firewall needs root") }
        let folders = (Command.plainEnvironment["PATH"] ?? "").split(separator: ":")
        guard folders.contains(where: { access("\($0)/nft", X_OK) == 0 }) else {
            throw Problem(.unavailable, "nft is not installed", hint: "Install the package nftables.")
        }
        let result = try await commands.run(
            Command(["nft"] + arguments, input: input, timeout: Self.timeout, outputBytesMax: 4_194_304))
        guard result.succeeded, !result.truncated else {
            let said = result.errorText.split(separator: "\n").first.map(String.init) ?? "no reason given"
            throw Problem(.unavailable, "nft refused: \(said.prefix(200))", context: "\(result.errorText.prefix(1000))")
        }
        return result.output
    }
}

/// What sshd_config(5) says about ports.
enum SSHConfiguration {
    /// The ports that any of the files names, by `Port` or `ListenAddress`; 22 when none does.
    static func ports(_ texts: [String]) -> [Int] {
        var ports: Set<Int> = []
        for line in texts.flatMap({ $0.split(separator: "\n") }) {
            let words = line.split { $0 == " " || $0 == "\t" || $0 == "=" }
            guard words.count >= 2 else { continue }
            switch words[0].lowercased() {
            case "port":
                if let port = Int(words[1]) { ports.insert(port) }
            case "listenaddress":
                if let port = port(ofAddress: words[1]) { ports.insert(port) }
            default: continue
            }
        }
        ports = ports.filter { (1...65_535).contains($0) }
        return ports.isEmpty ? [22] : ports.sorted()
    }

    /// The port of `host:port`, `1.2.3.4:port` or `[::1]:port`; a bare IPv6 address has none.
    private static func port(ofAddress text: Substring) -> Int? {
        if text.hasPrefix("[") {
            let parts = text.split(separator: "]", omittingEmptySubsequences: false)
            return parts.count == 2 && parts[1].hasPrefix(":") ? Int(parts[1].dropFirst()) : nil
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 2 ? Int(parts[1]) : nil
    }
}
