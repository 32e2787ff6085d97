import Glibc
public import Host
import Model
import Supervisor

/// Whether systemd manages this machine, as sd_booted(3) finds out.
enum SystemdPresence {
    static var isManager: Bool {
        var info = stat()
        return lstat("/run/systemd/system", &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }
}

/// The supervisor for this machine: systemd where it is PID 1 and we are root, our own elsewhere.
///
/// - Parameters:
///   - root: Absolute path of the data folder; units live in `units` below it.
///   - binary: Absolute path of the program whose `shim` command runs `shimMain(specPath:)`.
public func liveSupervisor(root: String, binary: String) -> any UnitSupervisor {
    SystemdPresence.isManager && geteuid() == 0
        ? SystemdSupervisor(root: root, binary: binary, commands: LiveCommands())
        : BuiltInSupervisor(root: root, binary: binary)
}

/// Paths that the composition root needs.
public enum FilePaths {
    /// The program that runs now, as an absolute path that survives its replacement by an upgrade.
    public static func ownProgram() throws -> String {
        guard let path = FileCalls.resolved("/proc/self/exe") else { throw systemProblem("realpath", "/proc/self/exe") }
        return path
    }
}
