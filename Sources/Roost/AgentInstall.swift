import ArgumentParser
import CLI
import Glibc
import Host
import LinuxHost
import Model

extension AgentCommand {
    /// `roost agent install`: the agent as a unit of systemd.
    struct Install: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the agent start with this machine, by systemd, and start it now.")
        @OptionGroup var shared: Shared

        private static let unitPath = "/etc/systemd/system/roost-agent.service"

        func run() async throws {
            guard geteuid() == 0 else { throw Problem(.forbidden, "This needs root.") }
            guard access("/run/systemd/system", F_OK) == 0 else {
                throw Problem(
                    .unavailable, "This machine is not run by systemd.",
                    hint: "Start the agent by what does run it: roost agent run --data \(shared.data)")
            }
            let program = try FilePaths.ownProgram()
            try await LiveFiles().write(Self.unitPath, Array(unit(program).utf8), mode: 0o644)
            for arguments in [
                ["daemon-reload"], ["enable", "--quiet", "roost-agent.service"], ["restart", "roost-agent.service"],
            ] {
                let result = try await LiveCommands().run(Command(["systemctl"] + arguments, timeout: .seconds(60)))
                guard result.succeeded else {
                    throw Problem(.commandFailed, "systemctl \(arguments[0]) failed.", hint: result.errorText)
                }
            }
            say("The agent runs. Its log: journalctl -u roost-agent")
        }

        /// Stops the agent and takes its unit away; fine where there is none.
        static func uninstall() async throws {
            guard access(unitPath, F_OK) == 0 else { return }
            let stopped = try await LiveCommands().run(
                Command(["systemctl", "disable", "--now", "roost-agent.service"], timeout: .seconds(60)))
            guard stopped.succeeded else {
                throw Problem(.commandFailed, "systemctl disable failed.", hint: stopped.errorText)
            }
            try await LiveFiles().remove(unitPath)
            let reloaded = try await LiveCommands().run(Command(["systemctl", "daemon-reload"], timeout: .seconds(60)))
            guard reloaded.succeeded else {
                throw Problem(.commandFailed, "systemctl daemon-reload failed.", hint: reloaded.errorText)
            }
        }

        /// Only the agent's own process is ended on a stop: applications and edge are units of their own.
        private func unit(_ program: String) -> String {
            """
            [Unit]
            Description=Roost agent
            After=network-online.target
            Wants=network-online.target
            StartLimitIntervalSec=0

            [Service]
            ExecStart="\(program)" agent run --data "\(shared.data)"
            Restart=always
            RestartSec=1
            KillMode=process
            TimeoutStopSec=30
            OOMPolicy=continue

            [Install]
            WantedBy=multi-user.target

            """
        }
    }
}
