import AgentProtocol
import Model
import Testing

/// Messages as they are on the wire: hub and agent may be of different versions, and state files outlive both.
@Suite struct WireCodingTests {
    private struct Inner: Codable, Equatable {
        var durationsMs: [String: Int]
        var hubURL: String?
    }

    private struct Message: Codable, Equatable {
        var serviceId: String
        var port: UInt16
        var ratio: Double
        var isUp: Bool
        var at: Timestamp
        var inner: [Inner]
        var machine: JSONValue
        var lastError: String?
    }

    private let message = Message(
        serviceId: "s", port: 65_535, ratio: 0.5, isUp: true, at: Timestamp(millisecondsSinceEpoch: 1_500),
        inner: [Inner(durationsMs: ["awaitHealth": 3], hubURL: "x")], machine: ["keepThis": [1, nil]])

    private let json: JSONValue = [
        "service_id": "s", "port": 65_535, "ratio": 0.5, "is_up": true, "at": "1970-01-01T00:00:01.500Z",
        "inner": [["durations_ms": ["awaitHealth": 3], "hub_url": "x"]], "machine": ["keepThis": [1, nil]],
    ]

    @Test func `names are in snake case, and data stays as it is`() throws {
        #expect(try WireCoding.encode(message) == json)
        #expect(try WireCoding.decode(Message.self, from: json) == message)
    }

    @Test func `whole numbers are one value however they are declared`() throws {
        #expect(try WireCoding.encode(["a": 2.0]) == ["a": 2])
        #expect(try WireCoding.decode([String: Double].self, from: ["a": 2]) == ["a": 2])
        #expect(throws: (any Error).self) { try WireCoding.encode(["a": Double.infinity]) }
    }

    private static let misfits: [(String, JSONValue?, String)] = [
        ("service_id", nil, "serviceId does not fit."), ("service_id", 7, "serviceId does not fit."),
        ("port", 65_536, "port does not fit."), ("port", 1.5, "port does not fit."),
        ("at", "yesterday", "at does not fit."), ("inner", [["durations_ms": 1]], "inner.0.durationsMs does not fit."),
        ("is_up", .null, "isUp does not fit."),
    ]

    @Test(arguments: misfits)
    func `what does not fit is named`(member: String, value: JSONValue?, message: String) throws {
        var json = json
        json[member] = value
        let problem = #expect(throws: Problem.self) { try WireCoding.decode(Message.self, from: json) }
        #expect(problem?.code == .invalid)
        #expect(problem?.message == message)
    }
}
