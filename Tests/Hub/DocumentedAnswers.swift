import Model
import Synchronization
import Testing

/// Which statuses the OpenAPI document names for each operation: whatever a test asks, the answer must be among them.
struct DocumentedAnswers: Sendable {
    private struct Path: Sendable {
        let segments: [Substring]
        /// Method → statuses.
        let operations: [String: Set<String>]

        func matches(_ asked: [Substring]) -> Bool {
            segments.count == asked.count && zip(segments, asked).allSatisfy { $0 == "{id}" || $0 == $1 }
        }
    }

    private let paths: [Path]

    init(_ document: JSONValue) throws {
        let described = try #require(document["paths"]?.objectValue)
        let found = described.map { path, item in
            Path(
                segments: Self.segments(path[...]),
                operations: (item.objectValue ?? [:]).mapValues { Set(($0["responses"]?.objectValue ?? [:]).keys) })
        }
        // `/sites/search` before `/sites/{id}`.
        paths = found.sorted { $0.segments.count { $0 == "{id}" } < $1.segments.count { $0 == "{id}" } }
    }

    private static func segments(_ path: Substring) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }

    /// Records an issue when the document does not say that there may be such an answer. What it does not describe at
    /// all is no part of the API.
    func check(_ method: String, _ path: String, _ status: Int, _ text: @autoclosure () -> String) {
        let asked = Self.segments(path.prefix { $0 != "?" })
        guard let known = paths.first(where: { $0.matches(asked) }) else { return }
        let isKnown =
            known.operations[method == "HEAD" ? "get" : method.lowercased()].map { $0.contains("\(status)") }
            ?? (status == 405)
        if !isKnown { Issue.record("\(method) \(path) answers \(status), which is not documented: \(text())") }
    }
}
