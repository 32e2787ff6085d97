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
    /// Id to name of the servers; lines begin with the name where there are several.
    var servers: [String: String] = [:]
    /// Whether this accompanies other work, and so goes to where progress goes.
    var isAside = false

    /// Prints what is there, and ends; of each server only the last lines, if a number is given.
    ///
    /// - Returns: where to go on from, for ``follow(_:from:)``.
    @discardableResult
    func show(_ path: String, tail: Int? = nil) async throws -> String {
        let answer = try await client.get(path)
        var ends: [String] = []
        for item in answer["items"]?.arrayValue ?? [] {
            let node = item["node_id"]?.stringValue ?? ""
            var splitter = LineSplitter()
            let lines = splitter.take(item["text"]?.stringValue ?? "") + splitter.rest()
            write(lines.suffix(tail ?? lines.count), of: node)
            ends.append("\(node)=\(item["end"]?.intValue ?? 0)")
        }
        return ends.joined(separator: ",")
    }

    /// Prints what comes, until the stream ends by itself. A broken connection is taken up again where it broke, so
    /// that nothing is shown twice.
    ///
    /// - Parameter start: what ``show(_:tail:)`` answered; nil begins with what is there.
    func follow(_ path: String, from start: String? = nil) async throws {
        var position = start
        var splitters: [String: LineSplitter] = [:]
        for attempt in 0..<Self.reconnectsMax {
            if attempt > 0 { try await Task.sleep(for: Self.reconnectPause) }
            do {
                let headers = position.map { ["Last-Event-ID": $0] } ?? [:]
                let response = try await client.stream(path, query: [("follow", "true")], headers: headers)
                if try await read(response, &position, &splitters) { return }
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
        _ response: HTTPClientResponse, _ position: inout String?, _ splitters: inout [String: LineSplitter]
    ) async throws -> Bool {
        var events = EventStreamReader()
        for try await piece in response.body {
            for event in events.read(piece.readableBytesView) {
                if event.name == "end" {
                    for node in splitters.keys.sorted() { write(splitters[node]?.rest() ?? [], of: node) }
                    return true
                }
                let value = try JSONParser.parse(event.data)
                let node = value["node_id"]?.stringValue ?? ""
                let lines = splitters[node, default: LineSplitter()].take(value["text"]?.stringValue ?? "")
                write(lines, of: node)
                if let id = event.id { position = id }
            }
            if events.isBroken { throw Problem(.tooLarge, "The hub sent a line that is too long to be output.") }
        }
        return false
    }

    private func write(_ lines: [String], of node: String) {
        let server = servers.count > 1 ? terminal.styled("\(printable(servers[node] ?? node)): ", .cyan) : ""
        for line in lines {
            let text = server + printable(line)
            if isAside {
                let erase = terminal.isInteractive ? "\r\u{1B}[2K" : ""
                terminal.note(erase + terminal.styled("│ ", .dim) + text)
            } else {
                terminal.line(text)
            }
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
