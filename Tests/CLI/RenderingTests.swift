import Catalog
import Model
import Synchronization
import Testing

@testable import CLI

@Suite("What people see")
struct RenderingTests {
    private let plain = Terminal { _, _ in }

    @Test("columns are aligned, and cut only where there is a terminal")
    func table() {
        var table = Table(["NAME", "MESSAGE"])
        table.rows = [["web", "a long message that goes on"], ["api-server", "short"]]
        #expect(
            table.lines(for: plain) == [
                "NAME        MESSAGE", "web         a long message that goes on", "api-server  short",
            ])
        let narrow = Terminal(width: 24) { _, _ in }
        #expect(table.lines(for: narrow).allSatisfy { $0.count <= 24 })
        #expect(table.lines(for: narrow)[1].hasSuffix("…"))
    }

    @Test("control characters of a server cannot move the cursor")
    func hostileText() {
        var table = Table(["NAME"])
        table.rows = [["\u{1B}[2Jboom\u{9B}1m\n"]]
        #expect(table.lines(for: plain)[1] == "\\x1b[2Jboom\\x9b1m\\x0a")
        #expect(printable("a\tb") == "a\tb")
    }

    @Test("no colour without a terminal")
    func colour() {
        #expect(plain.status("failed") == "failed")
        #expect(Terminal(hasColour: true) { _, _ in }.status("failed") == "\u{1B}[31mfailed\u{1B}[0m")
    }

    @Test("a plan shows what was and what will be, and no secret")
    func plan() {
        let change = PlannedChange(
            change: .update, kind: "service", title: "web",
            fields: [
                "env": .init(from: .null, to: ["K": ["secret": true, "value": "hunter2"], "L": "1"]),
                "memory_max": .init(from: "256M", to: "512M"), "path": .init(from: "/a", to: .null),
            ])
        #expect(
            PlanRendering.lines([change], plain) == [
                "~ service web", "    env         {K=(secret), L=1}", "    memory_max  256M → 512M",
                "    path        /a → (none)", "Plan: 0 to create, 1 to change, 0 to delete.",
            ])
        #expect(PlanRendering.lines([], plain) == ["No changes."])
    }

    @Test("spans read like speech")
    func ages() {
        #expect(Ages.text(.seconds(90)) == "90s")
        #expect(Ages.text(.seconds(7199)) == "119m")
        #expect(Ages.text(.seconds(200_000)) == "2d")
        #expect(Ages.measured(.milliseconds(12_420)) == "12.4s")
        #expect(Ages.measured(.seconds(185)) == "3m 5s")
    }

    @Test("events of a stream survive any cut")
    func eventStream() {
        let text = ": hello\r\nid: 7\r\nevent: log\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata: x\n\n"
        let expected: [EventStreamReader.Event] = [
            .init(name: "log", data: "{\"a\":\n1}", id: "7"), .init(name: "message", data: "x", id: "7"),
        ]
        let bytes = Array(text.utf8)
        for size in 1...bytes.count {
            var reader = EventStreamReader()
            var events: [EventStreamReader.Event] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += reader.read(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(events == expected)
        }
    }

    @Test("text is cut into lines as it comes")
    func lines() {
        var splitter = LogFollower.LineSplitter()
        #expect(splitter.take("a\nb") == ["a"])
        #expect(splitter.take("c\r\n10%\r20%") == ["bc", "10%"])
        #expect(splitter.rest() == ["20%"])
        #expect(splitter.rest().isEmpty)
    }
}
