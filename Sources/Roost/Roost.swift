import CLI
import Glibc
import Supervisor

/// The program: hub, agent, edge and command line.
@main
struct Roost {
    static let version = "0.1.0"

    static func main() {
        let words = CommandLine.arguments
        // First of all: a shim must stay small, so nothing else is set up before it.
        if words.count == 3, words[1] == "shim" { shimMain(specPath: words[2]) }
        Task.detached { await Program.main(version: version, local: ServerCommands.self) }
        while true { pause() }
    }
}
