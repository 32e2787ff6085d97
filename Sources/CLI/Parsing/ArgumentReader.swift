/// The command line was not understood; the program exits with 64 (EX_USAGE).
struct UsageError: Error, Equatable {
    var message: String
    /// Words of the command whose help text explains it.
    var path: [String]

    init(_ message: String, path: [String] = []) {
        self.message = message
        self.path = path
    }
}

/// The words after a command, sorted into what its declaration names.
struct Arguments: Sendable, Equatable {
    /// Parameter name → word.
    var parameters: [String: String] = [:]
    /// Option name → values; a flag that is there has an empty list.
    var options: [String: [String]] = [:]

    func has(_ option: String) -> Bool { options[option] != nil }
    /// The last value wins, as everywhere in a shell.
    func value(_ option: String) -> String? { options[option]?.last }
    func values(_ option: String) -> [String] { options[option] ?? [] }
}

/// Reads words against a declaration: `--name value`, `--name=value`, `-n value`, flags, `--` and parameters.
struct ArgumentReader {
    /// Answers nil when the words ask for help.
    static func read(_ words: [String], for command: CommandDeclaration, path: [String]) throws(UsageError)
        -> Arguments?
    {
        var reader = ArgumentReader(command: command, path: path, words: words[...])
        return try reader.read()
    }

    private let command: CommandDeclaration
    private let path: [String]
    private var words: ArraySlice<String>
    private var arguments = Arguments()
    private var places: [String] = []

    private init(command: CommandDeclaration, path: [String], words: ArraySlice<String>) {
        self.command = command
        self.path = path
        self.words = words
    }

    private mutating func read() throws(UsageError) -> Arguments? {
        while let word = words.popFirst() {
            if word == "--" {
                places += words
                words = []
            } else if word == "--help" || word == "-h" {
                return nil
            } else if word.hasPrefix("--") {
                try readLong(word.dropFirst(2))
            } else if word.hasPrefix("-"), word.count > 1 {
                try readShort(word.dropFirst())
            } else {
                places.append(word)
            }
        }
        try assignPlaces()
        return arguments
    }

    private mutating func readLong(_ word: Substring) throws(UsageError) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let option = command.options.first(where: { $0.name == name || $0.aliases.contains(name) }) else {
            let known = command.options.flatMap { [$0.name] + $0.aliases }
            let hint = Spelling.nearest(to: name, in: known).map { " Did you mean --\($0)?" } ?? ""
            throw UsageError("There is no option --\(name.prefix(80)).\(hint)", path: path)
        }
        try take(option, attached: parts.count == 2 ? String(parts[1]) : nil, spelling: "--\(name)")
    }

    private mutating func readShort(_ word: Substring) throws(UsageError) {
        let letter = word.first!
        guard let option = command.options.first(where: { $0.short == letter }) else {
            throw UsageError("There is no option -\(letter).", path: path)
        }
        let rest = word.dropFirst()
        if option.arity == .flag, !rest.isEmpty {
            try take(option, attached: nil, spelling: "-\(letter)")
            return try readShort(rest)
        }
        try take(option, attached: rest.isEmpty ? nil : String(rest), spelling: "-\(letter)")
    }

    private mutating func take(_ option: OptionDeclaration, attached: String?, spelling: String) throws(UsageError) {
        if option.arity == .flag {
            guard attached == nil else { throw UsageError("\(spelling) takes no value.", path: path) }
            arguments.options[option.name] = []
            return
        }
        if let attached {
            arguments.options[option.name, default: []].append(attached)
            return
        }
        // A value that looks like an option is a forgotten value far more often than it is meant; `=` passes it.
        guard let next = words.first, next == "-" || !next.hasPrefix("-") else {
            throw UsageError("\(spelling) needs a value: \(spelling) \(option.placeholder).", path: path)
        }
        words.removeFirst()
        arguments.options[option.name, default: []].append(next)
    }

    private mutating func assignPlaces() throws(UsageError) {
        guard places.count <= command.parameters.count else {
            let extra = places[command.parameters.count].prefix(80)
            throw UsageError("\"\(extra)\" is one word too many.", path: path)
        }
        for (index, parameter) in command.parameters.enumerated() {
            if index < places.count {
                arguments.parameters[parameter.name] = places[index]
            } else if parameter.isRequired {
                throw UsageError("\(parameter.name) is missing: \(parameter.summary)", path: path)
            }
        }
    }
}

/// Finds what someone meant to type.
enum Spelling {
    /// The candidate with the smallest edit distance, when that is small enough to be a slip.
    static func nearest(to word: String, in candidates: [String]) -> String? {
        guard word.count <= 40 else { return nil }
        let scored = candidates.map { ($0, distance(Array(word), Array($0))) }
        guard let best = scored.min(by: { $0.1 < $1.1 }), best.1 <= max(1, word.count / 3) else { return nil }
        return best.0
    }

    /// Levenshtein's distance.
    static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var row = Array(0...right.count)
        for (index, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, other) in right.enumerated() {
                let above = row[column + 1]
                row[column + 1] = min(above + 1, row[column] + 1, diagonal + (letter == other ? 0 : 1))
                diagonal = above
            }
        }
        return row[right.count]
    }
}
