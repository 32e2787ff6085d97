import AgentProtocol
import Host
import Logging
import Model

/// Keeps the firewall as the document says: put in force at a change, looked at now and then, put back when it is
/// another.
actor FirewallDirector {
    /// Kept on disk, so that a later agent knows whether what it finds is what an earlier one left.
    struct Applied: Codable, Sendable, Equatable {
        var rules: FirewallRules
        /// SHA-256 of ``Firewall/content()`` right after; nil for no rules.
        var contentHash: String?
    }

    private let host: Host
    private let path: String
    private let logger: Logger
    private var applied: Applied?
    private var kept: Applied?
    private var isLoaded = false
    /// Whether this agent has found or put the rules in force once.
    private var isKnown = false
    /// Why the wish is not in force; nil when it is.
    private(set) var problem: String?

    init(host: Host, path: String, logger: Logger) {
        self.host = host
        self.path = path
        self.logger = logger
    }

    /// What is in force.
    var mode: String { isKnown ? applied?.rules.mode.rawValue ?? "open" : "open" }

    /// Brings the firewall to the wish, or back to it.
    ///
    /// - Parameter tell: keeps an event of the kind `security`.
    func keep(_ wish: FirewallRules, tell: @Sendable (String) async throws -> Void) async {
        do {
            try await load()
            try await bring(wish, tell)
            problem = nil
            try await remember()
        } catch is CancellationError {
            return
        } catch {
            let failure = Problem(wrapping: error, doing: "Setting up the firewall")
            await refuse(wish.mode.rawValue, failure, tell: tell)
        }
    }

    /// What ``keep(_:tell:)`` would do.
    func steps(to wish: FirewallRules) async throws -> [String] {
        try await load()
        let found = try await contentHash(wish)
        if wish.isEmpty { return found == nil ? [] : ["remove the rules"] }
        guard applied?.rules == wish else { return ["put security mode \(wish.mode.rawValue) in force"] }
        return applied?.contentHash == found ? [] : ["put the rules back: they were changed"]
    }

    private func load() async throws {
        guard !isLoaded else { return }
        do {
            kept = try await JSONFile.read(Applied.self, path, host.files)
        } catch let problem as Problem where problem.code == .internalError {
            // Without it the rules are put in force once more, and it is written anew.
            logger.warning("the firewall's record was dropped", metadata: ["error": "\(problem)"])
        }
        applied = kept
        isLoaded = true
    }

    private func bring(_ wish: FirewallRules, _ tell: @Sendable (String) async throws -> Void) async throws {
        let found = try await contentHash(wish)
        let isSame = applied?.rules == wish && applied?.contentHash == found
        if isSame || wish.isEmpty && applied == nil && found == nil {
            isKnown = true
            return
        }
        let host = host
        if wish.isEmpty {
            if found != nil { try await host.effect("firewall.remove") { try await host.firewall.remove() } }
        } else {
            try await host.effect("firewall.apply") { try await host.firewall.apply(wish) }
        }
        let before = applied
        applied = Applied(rules: wish, contentHash: try await contentHash(wish))
        // After a reboot there are no rules, and nobody took them away.
        let isDrift = before?.rules == wish && (isKnown || found != nil)
        isKnown = true
        problem = nil
        if isDrift {
            try await tell("The firewall rules of the server had been changed; they were put back.")
        } else if before?.rules != wish {
            try await tell(Self.announcement(wish))
        }
    }

    private func contentHash(_ wish: FirewallRules) async throws -> String? {
        do {
            return try await host.firewall.content().map { sha256Hex(Array($0.utf8)) }
        } catch let problem as Problem where problem.code == .unavailable && wish.isEmpty {
            // Where there can be no rules, none are in force.
            return nil
        }
    }

    /// Written after the rules are in force: what is kept may be old, and then the rules are put in force once more.
    private func remember() async throws {
        guard kept != applied, let applied else { return }
        let (host, path) = (host, path)
        do {
            try await host.effect("firewall.remember") { try await JSONFile.write(applied, path, host.files) }
            kept = applied
        } catch let problem as Problem where problem.code == .storage {
            // The rules hold all the same; the next look tries again.
            logger.warning("the firewall's record could not be kept", metadata: ["error": "\(problem)"])
        }
    }

    /// Notes why a mode is not in force; told once.
    func refuse(_ mode: String, _ failure: Problem, tell: @Sendable (String) async throws -> Void) async {
        logger.debug("firewall", metadata: ["error": "\(failure)", "context": "\(failure.context ?? "")"])
        guard failure.message != problem else { return }
        problem = failure.message
        do {
            try await tell("Security mode \(mode) is not enforced: \(Self.clause(failure.message)).")
        } catch {
            logger.error("an event could not be kept", metadata: ["error": "\(error)"])
        }
    }

    /// A message as part of a sentence.
    private static func clause(_ message: String) -> Substring {
        message.hasSuffix(".") ? message.dropLast() : message[...]
    }

    private static func announcement(_ rules: FirewallRules) -> String {
        let networks = rules.sshAllow.joined(separator: ", ")
        let ports = rules.publicPorts.map { String($0) }.joined(separator: ", ")
        switch rules.mode {
        case .open where rules.sshAllow.isEmpty: return "Security mode open is in force: Roost closes no port."
        case .open: return "Security mode open is in force; SSH is reachable from \(networks) only."
        case .daemonPort:
            let ssh = rules.sshAllow.isEmpty ? "anywhere" : networks
            return "Security mode daemon-port is in force: open are SSH from \(ssh)"
                + (ports.isEmpty ? "." : ", and the ports \(ports).")
        case .blocked where rules.sshAllow.isEmpty:
            return
                "Warning: security mode blocked is in force and ssh_allow is empty, so nobody reaches the server from"
                + " outside, by SSH neither. It is still managed through the hub."
        case .blocked: return "Security mode blocked is in force: open is SSH from \(networks)."
        }
    }
}

extension FirewallRules {
    /// What a document asks for on a machine.
    ///
    /// - Parameters:
    ///   - publicPorts: of the front door.
    ///   - hubUrl: when the hub is on this machine, its port is one of those that `daemon-port` leaves open.
    /// - Throws: `invalid` for a mode that this version does not know.
    init(
        _ document: DesiredState, sshPorts: [Int], publicPorts: [Int], hubUrl: String
    ) throws(Problem) {
        guard let mode = Mode(rawValue: document.securityMode) else {
            throw Problem(.invalid, "this agent does not know the mode \(document.securityMode)")
        }
        let open = Set(publicPorts + (Self.localPort(hubUrl).map { [$0] } ?? [])).sorted()
        self.init(
            mode: mode, sshAllow: document.sshAllow ?? [], sshPorts: sshPorts,
            publicPorts: mode == .daemonPort ? open : [])
    }

    /// The port of a URL whose host is this machine by its loopback address.
    static func localPort(_ url: String) -> Int? {
        let parts = url.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count >= 2, ["http:", "https:"].contains(parts[0]) else { return nil }
        let authority = parts[1]
        let isLocal = ["localhost", "[::1]"].contains { authority == $0 || authority.hasPrefix("\($0):") }
        guard isLocal || authority.hasPrefix("127.") else { return nil }
        guard let colon = authority.lastIndex(of: ":"), authority.last != "]" else {
            return parts[0] == "https:" ? 443 : 80
        }
        return Int(authority[authority.index(after: colon)...])
    }

    /// The port of an address `host:port`; nil when it is on loopback, where no firewall stands.
    static func reachablePort(_ address: String) -> Int? {
        guard let colon = address.lastIndex(of: ":") else { return nil }
        let host = address[..<colon]
        guard !host.hasPrefix("127."), host != "localhost", host != "::1", host != "[::1]" else { return nil }
        return Int(address[address.index(after: colon)...])
    }
}
