import AsyncHTTPClient
import Model
import NIOCore

/// Lines of what happened where, as a list and as it comes.
struct Timeline: Sendable {
    private static let reconnectPause = Duration.seconds(1)

    /// The member that is shown behind the time, and how wide it is.
    let label: String
    let width: Int
    /// Values of the label that stand out.
    let alarming: Set<String>
    let invocation: Invocation
    let client: HubClient
    /// Id to name of servers and services.
    let names: [String: String]

    init(_ label: String, width: Int, alarming: Set<String>, _ invocation: Invocation, _ directory: Directory)
        async throws
    {
        (self.label, self.width, self.alarming, self.invocation) = (label, width, alarming, invocation)
        client = directory.client
        var names: [String: String] = [:]
        for name in ["node", "service"] {
            names.merge(try await directory.readableTitles(try directory.named(name))) { $1 }
        }
        self.names = names
    }

    /// Shows a list, oldest first, as one document where JSON is asked for and nothing follows.
    func show(_ items: [JSONValue], isFollowed: Bool) {
        if invocation.wantsJSON, !isFollowed { return invocation.terminal.line(JSONValue.array(items).prettyText()) }
        for item in items { show(item) }
    }

    private func show(_ item: JSONValue) {
        let terminal = invocation.terminal
        guard !invocation.wantsJSON else { return terminal.line(item.canonicalText) }
        let time = item["time"]?.stringValue ?? ""
        let word = item[label]?.stringValue ?? ""
        let place = ["node_id", "service_id"].compactMap { item[$0]?.stringValue.map { names[$0] ?? $0 } }
        let padded = word + String(repeating: " ", count: max(0, width - word.count))
        terminal.line(
            "\(terminal.styled(time, .dim))  \(terminal.styled(padded, alarming.contains(word) ? .red : .cyan))  "
                + (place.isEmpty ? "" : "\(printable(place.joined(separator: "/")))  ")
                + printable(item["message"]?.stringValue ?? ""))
    }

    /// Shows what comes, until interrupted. A broken connection is taken up again behind what was shown last.
    /// - Parameter known: id of the last item that the stream is to leave out.
    func follow(_ path: String, _ query: [(String, String)], after known: String) async throws {
        var last = known
        while true {
            do {
                try await read(path, query, &last)
            } catch let problem as Problem where problem.code != .hubUnreachable && problem.code != .timeout {
                throw problem
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // The hub restarts, or the connection broke; the next round goes on after the last item.
            }
            try await Task.sleep(for: Self.reconnectPause)
        }
    }

    private func read(_ path: String, _ query: [(String, String)], _ last: inout String) async throws {
        let response = try await client.stream(
            path, query: query + [("follow", "true")], headers: ["Last-Event-ID": last])
        var reader = EventStreamReader()
        for try await piece in response.body {
            for message in reader.read(piece.readableBytesView) {
                show(try JSONParser.parse(message.data))
                last = message.id ?? last
            }
            if reader.isBroken { throw Problem(.tooLarge, "The hub sent a line that is too long to be shown.") }
        }
    }
}
