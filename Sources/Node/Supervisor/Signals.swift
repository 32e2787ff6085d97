import Glibc

/// Signal names without SIG.
enum Signals {
    private static let table: [(String, Int32)] = [
        ("TERM", SIGTERM), ("KILL", SIGKILL), ("INT", SIGINT), ("QUIT", SIGQUIT), ("HUP", SIGHUP), ("USR1", SIGUSR1),
        ("USR2", SIGUSR2), ("ABRT", SIGABRT), ("SEGV", SIGSEGV), ("BUS", SIGBUS), ("ILL", SIGILL), ("FPE", SIGFPE),
        ("PIPE", SIGPIPE), ("ALRM", SIGALRM), ("XCPU", SIGXCPU), ("XFSZ", SIGXFSZ), ("SYS", SIGSYS),
        ("TRAP", SIGTRAP), ("WINCH", SIGWINCH), ("CONT", SIGCONT), ("STOP", SIGSTOP),
    ]

    static func number(_ name: String) -> Int32? { table.first { $0.0 == name }?.1 }

    static func name(_ number: Int32) -> String {
        table.first { $0.1 == number }.map { "SIG\($0.0)" } ?? "signal \(number)"
    }
}
