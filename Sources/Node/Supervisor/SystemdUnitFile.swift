import Model

/// The service file of a unit; see systemd.service(5), systemd.exec(5) and systemd.syntax(7). Pure.
struct SystemdUnitFile {
    let spec: UnitSpec
    let binary: String
    let specPath: String

    static func serviceName(_ id: String) -> String { "roost-\(id).service" }

    var text: String {
        let isService = spec.restart == .always
        var lines = [
            "# Written by Roost; edits are lost.",
            "[Unit]", "Description=Roost unit \(spec.id)", "After=network.target", "StartLimitIntervalSec=0",
            // A failed unit is forgotten like an inactive one: what there is to know is in its folder.
            "CollectMode=inactive-or-failed", "",
            "[Service]", "Type=exec",
            "ExecStart=\(Self.quoted(binary)) shim \(Self.quoted(specPath))",
            "Restart=\(isService ? "always" : "no")", "RestartSec=100ms",
            // The shim alone gets SIGTERM; it stops the application, and systemd sweeps after it.
            "KillMode=mixed", "TimeoutStopSec=\(spec.stopTimeMs / 1000 + 12)s",
            // The shim survives its application's end by the memory limit, and reports it.
            "OOMPolicy=continue", "StandardInput=null", "StandardOutput=null", "StandardError=journal",
        ]
        lines += limits + protections
        if isService { lines += ["", "[Install]", "WantedBy=multi-user.target"] }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Memory of the shim itself, which systemd counts in with the application's.
    static let shimAllowanceBytes: Int64 = 8 * 1_048_576

    private var limits: [String] {
        var lines: [String] = []
        if let bytes = spec.memoryMaxBytes {
            lines += ["MemoryMax=\(bytes + Self.shimAllowanceBytes)", "MemorySwapMax=0"]
        }
        if let quota = spec.cpuQuota { lines.append("CPUQuota=\(max(1, Int((quota * 100).rounded())))%") }
        if let tasks = spec.tasksMax { lines.append("TasksMax=\(tasks + 1)") }
        return lines
    }

    private var protections: [String] {
        var lines = [
            "NoNewPrivileges=yes", "ProtectSystem=full", "ProtectKernelTunables=yes", "ProtectKernelModules=yes",
            "ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectClock=yes", "ProtectHostname=yes",
            "LockPersonality=yes", "RestrictRealtime=yes",
        ]
        // Builds unpack archives that may hold such bits.
        if spec.restart == .always { lines.append("RestrictSUIDSGID=yes") }
        let paths = [specPath, binary, spec.workingDirectory, spec.logFolder]
        func isBelow(_ path: String, _ folders: [String]) -> Bool {
            folders.contains { path == $0 || path.hasPrefix($0 + "/") }
        }
        // A private /tmp would hide what the unit itself consists of.
        if !paths.contains(where: { isBelow($0, ["/tmp", "/var/tmp"]) }) { lines.append("PrivateTmp=yes") }
        let folder = String(specPath.dropLast("/spec.json".utf8.count))
        for path in [folder, spec.workingDirectory, spec.logFolder]
        where isBelow(path, ["/usr", "/boot", "/efi", "/etc"]) {
            lines.append("ReadWritePaths=-\(Self.quoted(path))")
        }
        return lines
    }

    /// One word of a command line or a list of paths.
    static func quoted(_ word: String) -> String {
        var out = "\""
        for byte in word.unicodeScalars {
            switch byte {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "%": out += "%%"
            case "$": out += "$$"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            default: out.unicodeScalars.append(byte)
            }
        }
        return out + "\""
    }
}
