import Model
import ResourceKit

/// One run of a command: what was asked, and what it may use.
struct Invocation: Sendable {
    /// Words that led to the command, e.g. `["service", "create"]`.
    var path: [String]
    var arguments: Arguments
    var terminal: Terminal
    var environment: [String: String]
    var kinds: [ResourceKind]

    var wantsJSON: Bool { arguments.has("json") }
    var isPlan: Bool { arguments.has("plan") }
    var isConfirmed: Bool { arguments.has("yes") }
    var questions: Questions { Questions(terminal: terminal) }

    /// The hub that this command talks to.
    func client() throws -> HubClient {
        HubClient(
            connection: try Connection.resolve(arguments, environment: environment),
            requestTimeout: try span("request-timeout") ?? .seconds(30))
    }

    func directory() throws -> Directory { Directory(client: try client(), kinds: kinds) }

    func kind(_ name: String) throws -> ResourceKind {
        guard let kind = kinds.first(where: { $0.name == name }) else {
            throw Problem(.internalError, "This program knows no resource kind \(name).")
        }
        return kind
    }

    /// A time span given as an option.
    func span(_ option: String) throws(UsageError) -> Duration? {
        guard let text = arguments.value(option) else { return nil }
        guard let span = Duration.parse(text), span > .zero else {
            throw UsageError("--\(option) must be a time span such as 30s or 5m.", path: path)
        }
        return span
    }

    /// A whole number given as an option.
    func count(_ option: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = arguments.value(option) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(
                "--\(option) must be a number from \(range.lowerBound) to \(range.upperBound).", path: path)
        }
        return number
    }

    func required(_ parameter: String) throws(UsageError) -> String {
        guard let word = arguments.parameters[parameter], !word.isEmpty else {
            throw UsageError("\(parameter) is missing.", path: path)
        }
        return word
    }
}
