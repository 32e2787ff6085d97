import CRoost
import Glibc

/// A program that a test runs: with none of our descriptors, since servers outlive tests, and a plain environment.
struct ChildProgram {
    /// It could not be started, or did not end well.
    struct Failure: Error {
        var what: String
    }

    private static let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]

    let pid: pid_t
    private let name: String

    /// - Parameters:
    ///   - argv: the program first, by its path or by its name.
    ///   - output: file that its output goes to; nowhere without one.
    /// - Throws: ``Failure``.
    init(_ argv: [String], output: String? = nil) throws {
        name = argv[0]
        let candidates = argv[0].contains("/") ? [argv[0]] : Self.folders.map { "\($0)/\(argv[0])" }
        let environment = ["PATH=\(Self.folders.joined(separator: ":"))", "LC_ALL=C"]
        let lists = [candidates, argv, environment].map { list in
            let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: list.count + 1)
            for (index, text) in list.enumerated() { pointers[index] = strdup(text) }
            pointers[list.count] = nil
            return (pointers, list.count)
        }
        defer {
            for (pointers, count) in lists {
                for index in 0..<count { free(pointers[index]) }
                pointers.deallocate()
            }
        }
        let sink = open(output ?? "/dev/null", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(sink) }
        var plan = croost_spawn_plan()
        plan.candidates = UnsafePointer(lists[0].0)
        plan.argv = UnsafePointer(lists[1].0)
        plan.envp = UnsafePointer(lists[2].0)
        plan.stdio = (-1, sink, -1)
        plan.keep_fd = -1
        var child = pid_t()
        var step: Int32 = 0
        guard croost_spawn(&plan, &child, &step) == 0 else { throw Failure(what: "\(name) could not be started") }
        pid = child
    }

    /// Runs a program to its end.
    /// - Throws: ``Failure`` unless it ends with 0.
    static func run(_ argv: [String], output: String? = nil) throws { try ChildProgram(argv, output: output).wait() }

    private func wait() throws {
        let status = reap()
        guard status == 0 else { throw Failure(what: "\(name) ended with the status \(status)") }
    }

    /// Ends it at once.
    func end() {
        kill(pid, SIGKILL)
        _ = reap()
    }

    private func reap() -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status
    }
}
