import AsyncHTTPClient
import Model
import NIOCore

/// Prints output of builds and services, as it is and as it comes.
struct LogFollower: Sendable {
    private static let reconnectPause = Duration.milliseconds(500)
    private static let reconnectsMax = 120
    private static let lineBytesMax = 65_536

    let client: HubClient
    let terminal: Terminal

    /// Prints what is there, and ends.
    func show(_ path: String, query: [(String, String)] = []) async throws {
        let answer = try await client.send("GET", path, query: query)
        var lines = LineSplitter()
        for text in Self.texts(in: answer.body) { write(lines.take(text), toNotes: false) }
        write(lines.rest(), toNotes: false)
    }

    /// Prints what is there and what comes, until the stream ends by itself. A broken connection is taken up again
    /// where it broke, so that nothing is shown twice.
    func follow(_ path: String, query: [(String, String)] = [], toNotes: Bool = false) async throws {
        var lastId: String?
        var lines = LineSplitter()
        for attempt in 0..<Self.reconnectsMax {
            if attempt > 0 { try await Task.sleep(for: Self.reconnectPause) }
            do {
                let headers = lastId.map { ["Last-Event-ID": $0] } ?? [:]
                let response = try await client.stream(path, query: query + [("follow", "true")], headers: headers)
                let isComplete = try await read(response, &lastId, &lines, toNotes: toNotes)
                if isComplete {
                    write(lines.rest(), toNotes: toNotes)
                    return
                }
            } catch let problem as Problem where problem.code != .hubUnreachable && problem.code != .timeout {
                throw problem
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // The connection broke; the next round takes it up again.
                continue
            }
        }
        throw Problem(.unavailable, "The connection to the hub broke too often to follow.")
    }

    /// Answers whether the stream said that it is over.
    private func read(
        _ response: HTTPClientResponse, _ lastId: inout String?, _ lines: inout LineSplitter, toNotes: Bool
    ) async throws -> Bool {
        var events = EventStreamReader()
        for try await piece in response.body {
            for event in events.read(piece.readableBytesView) {
                if let id = event.id { lastId = id }
                if event.name == "end" { return true }
                if event.name == "ping" || event.data.isEmpty { continue }
                // A line of the stream that is no JSON is text.
                let value = (try? JSONParser.parse(event.data)) ?? .string(event.data + "\n")
                for text in Self.texts(in: value) { write(lines.take(text), toNotes: toNotes) }
            }
            if events.isBroken { throw Problem(.tooLarge, "The hub sent a line that is too long to be output.") }
        }
        return false
    }

    private func write(_ lines: [String], toNotes: Bool) {
        for line in lines {
            let text = printable(line)
            if toNotes {
                let erase = terminal.isInteractive ? "\r\u{1B}[2K" : ""
                terminal.note(erase + terminal.styled("│ ", .dim) + text)
            } else {
                terminal.line(text)
            }
        }
    }

    /// The texts in an answer: chunks of a stream, or entries of a list.
    static func texts(in value: JSONValue) -> [String] {
        if let text = value.stringValue { return [text] }
        if let text = value["text"]?.stringValue { return [text] }
        let items = value["chunks"]?.arrayValue ?? value["items"]?.arrayValue ?? value.arrayValue ?? []
        return items.compactMap { item in
            item["text"]?.stringValue ?? item["message"]?.stringValue.map { $0 + "\n" } ?? item.stringValue
        }
    }

    /// Cuts a stream of text into lines; a carriage return that redraws a progress bar begins a new one.
    struct LineSplitter {
        private var pending = ""

        mutating func take(_ text: String) -> [String] {
            pending += text
            var lines = pending.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" || $0 == "\r" }
            pending = String(lines.removeLast())
            if pending.utf8.count > LogFollower.lineBytesMax { lines.append(Substring(rest()[0])) }
            return lines.map(String.init)
        }

        mutating func rest() -> [String] {
            defer { pending = "" }
            return pending.isEmpty ? [] : [pending]
        }
    }
}
