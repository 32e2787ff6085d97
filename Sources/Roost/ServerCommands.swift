import ArgumentParser
import CLI

/// The long-running parts of the program as commands.
enum ServerCommands: LocalCommands {
    static var commands: [any ParsableCommand.Type] {
        [UpCommand.self, HubCommand.self, AgentCommand.self, EdgeCommand.self]
    }
}
