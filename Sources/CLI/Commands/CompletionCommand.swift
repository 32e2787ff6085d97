import Model
import ResourceKit

/// Completion for shells. The scripts hold no list of commands: they ask this program, so they never grow stale.
enum CompletionCommand {
    static let command = CommandDeclaration(
        "completion", "Print a completion script for a shell.",
        discussion: """
            bash: roost completion bash > /etc/bash_completion.d/roost
            zsh:  roost completion zsh > "${fpath[1]}/_roost"
            fish: roost completion fish > ~/.config/fish/completions/roost.fish
            """,
        parameters: [ParameterDeclaration("bash|zsh|fish", "The shell.")]
    ) { invocation in
        let shell = try invocation.required("bash|zsh|fish")
        guard let script = scripts[shell] else {
            throw UsageError(
                "There is no completion for \(printable(shell)); there is for bash, zsh and fish.",
                path: invocation.path)
        }
        invocation.terminal.raw(script)
    }

    /// Candidates for the last word, one per line: `candidate<TAB>meaning`.
    static func candidates(_ words: [String], commands: [CommandDeclaration], local: [(String, String)]) -> [(
        String, String
    )] {
        var options: [OptionDeclaration] = []
        var subcommands = commands
        var hasCommand = false
        for word in words.dropLast() where !word.hasPrefix("-") {
            guard let next = subcommands.first(where: { $0.answers(to: word) }) else { continue }
            hasCommand = true
            subcommands = next.subcommands
            options = next.options
        }
        let last = words.last ?? ""
        let all: [(String, String)]
        if last.hasPrefix("-") {
            all = options.map { ("--\($0.name)", $0.summary) } + [("--help", "Show help.")]
        } else {
            all = subcommands.map { ($0.name, $0.summary) } + (hasCommand ? [] : local)
        }
        return all.filter { $0.0.hasPrefix(last) }
    }

    private static let scripts: [String: String] = [
        "bash": #"""
        # bash completion for roost
        _roost() {
            local IFS=$'\n'
            COMPREPLY=($(roost __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
            [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -F _roost roost

        """#,
        "zsh": #"""
        #compdef roost
        _roost() {
            local -a lines
            lines=("${(@f)$(roost __complete "${(@)words[2,CURRENT]}" 2>/dev/null | sed -e 's/:/\\:/g' -e 's/\t/:/')}")
            if [ -n "${lines[1]}" ]; then _describe 'roost' lines; else _files; fi
        }
        compdef _roost roost

        """#,
        "fish": #"""
        # fish completion for roost
        function __roost_complete
            set -l words (commandline -opc) (commandline -ct)
            roost __complete $words[2..-1] 2>/dev/null
        end
        complete -c roost -a '(__roost_complete)'

        """#,
    ]
}
