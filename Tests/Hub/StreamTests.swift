import AsyncHTTPClient
import HubCore
import HubStore
import Model
import NIOCore
import NIOHTTP1
import ResourceKit
import Synchronization
import Testing

/// Server-sent events.
@Suite struct StreamTests {
    /// Reads a stream until `isEnough` says so, or it ends; at most ten seconds.
    private func follow(
        _ server: ServerFixture, _ path: String, resuming: String? = nil,
        until isEnough: @escaping @Sendable (String) -> Bool,
        meanwhile: @escaping @Sendable () async throws -> Void = {}
    ) async throws -> String {
        var request = HTTPClientRequest(url: "\(server.url)/api/v1/\(path)")
        request.headers.add(name: "Authorization", value: "Bearer \(server.key)")
        if let resuming { request.headers.add(name: "Last-Event-ID", value: resuming) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(25))
        #expect(response.headers.first(name: "Content-Type") == "text/event-stream")
        async let change: Void = meanwhile()
        var text = ""
        for try await part in response.body {
            text += String(buffer: part)
            if isEnough(text) { break }
        }
        try await change
        return text
    }

    private func emit(_ hub: Hub, _ message: String) async throws {
        try await hub.write { transaction in
            try transaction.emit(HubEvent(time: transaction.now, kind: "run", message: message))
        }
    }

    @Test func followsEvents() async throws {
        try await ServerFixture.run { server in
            for number in 1...3 { try await emit(server.hub, "old \(number)") }
            let text = try await follow(server, "events?follow=true&limit=2", until: { $0.contains("new") }) {
                try await Task.sleep(for: .milliseconds(200))
                try await emit(server.hub, "new")
            }
            #expect(!text.contains("old 1") && text.contains("old 2") && text.contains("event: event\nid: 3\ndata: {"))
            // Goes on where a broken stream ended.
            let resumed = try await follow(server, "events?follow=true", resuming: "3", until: { $0.contains("new") })
            #expect(!resumed.contains("old"))
        }
    }

    /// Lines of all logs in the order of their arrival, whatever time they say, and only those that were asked for.
    @Test func followsTheLinesOfLogs() async throws {
        @Sendable func append(_ hub: Hub, _ offset: Int64, _ text: String, ageSeconds: Int) async throws {
            try await hub.write { transaction in
                let time = transaction.now
                if offset == 0 {
                    _ = try transaction.put(
                        ResourceRecord(
                            kind: "deployment", id: "d", parentId: "s", status: .active, spec: [:], createdAt: time,
                            updatedAt: time))
                }
                try transaction.appendLog(
                    LogName(source: "build", id: "d", nodeId: "n"), offset: offset, text: text,
                    time: time.advanced(by: .seconds(-ageSeconds)), bytesMax: 10_000)
            }
        }
        try await ServerFixture.run { server in
            let hub = server.hub
            try await append(hub, 0, "one\ntwo\n[error] three\n", ageSeconds: 0)
            let text = try await follow(server, "logs?follow=true&limit=2", until: { $0.contains("five") }) {
                try await Task.sleep(for: .milliseconds(200))
                try await append(hub, 22, "four\n", ageSeconds: 3600)
                try await append(hub, 27, "[error] five\n", ageSeconds: 0)
            }
            let said = text.split(separator: "\n").filter { $0.hasPrefix("data: ") }
            #expect(!text.contains("one"), "it begins with the newest page")
            for (line, word) in zip(said, ["two", "three", "four", "five"]) { #expect(line.contains(word), "\(text)") }
            let ids = text.split(separator: "\n").filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
            #expect(said.count == 4 && Set(ids).count == 4)
            // Goes on where a broken stream ended, and leaves out what was not asked for.
            let resumed = try await follow(
                server, "logs?follow=true&level=error", resuming: ids.first, until: { $0.contains("five") })
            #expect(resumed.contains("three") && !resumed.contains("two") && !resumed.contains("four"))
        }
    }

    @Test func followsADeploymentToItsEnd() async throws {
        try await ServerFixture.run { server in
            let hub = server.hub
            try await hub.write { transaction in
                let time = transaction.now
                _ = try transaction.put(
                    ResourceRecord(
                        kind: "deployment", id: "d", parentId: "s", status: .provisioning, spec: [:], createdAt: time,
                        updatedAt: time))
                try transaction.appendLog(
                    LogName(source: "build", id: "d", nodeId: "n"), offset: 0, text: "one\n", time: time,
                    bytesMax: 10_000)
            }
            let text = try await follow(server, "deployments/d/logs?follow=true", until: { _ in false }) {
                try await Task.sleep(for: .milliseconds(200))
                try await hub.write { transaction in
                    try transaction.appendLog(
                        LogName(source: "build", id: "d", nodeId: "n"), offset: 4, text: "two\n",
                        time: transaction.now, bytesMax: 10_000)
                    var record = try #require(try transaction.get("deployment", "d"))
                    record.status = .failed
                    _ = try transaction.put(record)
                }
            }
            #expect(text.contains("one\\n") && text.contains("two\\n"))
            #expect(text.contains("event: end\nid: n=8\ndata: {\"status\":\"failed\"}"))
            let page = try await server.send(.GET, "deployments/d/logs?offset=4").json["items"]?.arrayValue?.first
            #expect(page?["text"] == "two\n" && page?["end"] == 8 && page?["node_id"] == "n")
        }
    }

    /// A client that keeps listening does not hold up the end of the server.
    @Test(.timeLimit(.minutes(5))) func openStreamsDoNotHoldTheShutdown() async throws {
        let stopping = Mutex<ContinuousClock.Instant?>(nil)
        let (lines, heard) = AsyncStream.makeStream(of: Void.self)
        let listener = Mutex<Task<Void, any Error>?>(nil)
        try await ServerFixture.run { server in
            let task = Task {
                _ = try await follow(
                    server, "events?follow=true",
                    until: { _ in
                        heard.yield()
                        return false
                    })
            }
            listener.withLock { $0 = task }
            var iterator = lines.makeAsyncIterator()
            await iterator.next()
            stopping.withLock { $0 = .now }
        }
        let began = try #require(stopping.withLock { $0 })
        #expect(ContinuousClock.now - began < .seconds(60))
        // How the client's read ends, cleanly or with an error, is not the point.
        _ = await listener.withLock { $0 }?.result
    }
}
