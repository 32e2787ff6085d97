import AgentProtocol
import Model

/// The control protocol: one line of JSON each way, then the connection is closed.
///
/// `{"apply": TABLE}`, `{"status": true}` or `{"metrics": true}`; answered with `{"ok": STATUS}`, for metrics
/// `{"ok": TEXT}`, or `{"problem": {code, message, …}}`. A status with `"wait_ms"` and `"wakes_seen"` is answered
/// when a service was asked for after that, at the latest when the time is over.
/// `{"hand_over": GENERATION}` is asked by an edge process that takes over; see ``Handover``.
enum ControlMessage {
    static let bytesMax = 16 * 1024 * 1024

    enum Request {
        case apply(EdgeTable)
        case status
        /// Waits for the next wake request after a serial.
        case wake(after: Int, milliseconds: Int)
        case metrics
        case handOver(generation: Int)
    }

    static let waitMillisecondsMax = 25_000

    static func encode(_ request: Request) throws(Problem) -> [UInt8] {
        do {
            let json: JSONValue =
                switch request {
                case .apply(let table): ["apply": try WireCoding.encode(table)]
                case .status: ["status": true]
                case .wake(let serial, let milliseconds):
                    ["status": true, "wakes_seen": .int(Int64(serial)), "wait_ms": .int(Int64(milliseconds))]
                case .metrics: ["metrics": true]
                case .handOver(let generation): ["hand_over": .int(Int64(generation))]
                }
            return json.canonicalBytes + [UInt8(ascii: "\n")]
        } catch {
            throw Problem(wrapping: error, doing: "Encoding a message for the edge")
        }
    }

    static func decodeRequest(_ line: [UInt8]) throws(Problem) -> Request {
        let json = try JSONParser.parse(line)
        if let table = json["apply"] { return .apply(try WireCoding.decode(EdgeTable.self, from: table)) }
        if json["metrics"]?.boolValue == true { return .metrics }
        if let generation = json["hand_over"]?.intValue { return .handOver(generation: Int(generation)) }
        guard json["status"]?.boolValue == true else {
            throw Problem(.invalid, "The edge understands apply, status, metrics and hand_over only.")
        }
        guard let wait = json["wait_ms"]?.intValue else { return .status }
        let milliseconds = Int(min(max(wait, 0), Int64(waitMillisecondsMax)))
        return .wake(after: Int(json["wakes_seen"]?.intValue ?? 0), milliseconds: milliseconds)
    }

    static func encode(_ result: Result<JSONValue, Problem>) -> [UInt8] {
        let json: JSONValue
        do {
            json = ["ok": try result.get()]
        } catch {
            let problem = Problem(wrapping: error, doing: "Answering the agent")
            var members: [String: JSONValue] = [
                "code": .string(problem.code.rawValue), "message": .string(problem.message),
                "fields": .object(problem.fields.mapValues { .string($0) }),
            ]
            members["hint"] = problem.hint.map { .string($0) }
            members["context"] = problem.context.map { .string($0) }
            json = ["problem": .object(members)]
        }
        return json.canonicalBytes + [UInt8(ascii: "\n")]
    }

    static func decodeResponse(_ line: [UInt8]) throws(Problem) -> JSONValue {
        let json = try JSONParser.parse(line)
        if let answer = json["ok"] { return answer }
        guard let problem = json["problem"], let code = problem["code"]?.stringValue else {
            throw Problem(.unavailable, "The edge gave an answer that cannot be read.")
        }
        let fields = problem["fields"]?.objectValue?.compactMapValues(\.stringValue) ?? [:]
        throw Problem(
            Problem.Code(code), problem["message"]?.stringValue ?? "The edge refused.",
            hint: problem["hint"]?.stringValue, fields: fields, context: problem["context"]?.stringValue)
    }
}

/// Collects bytes up to a line end, within bounds.
struct LineCollector {
    private var bytes: [UInt8] = []

    enum Outcome {
        case more, tooLarge
        case line([UInt8])
    }

    mutating func add(_ chunk: some Collection<UInt8>) -> Outcome {
        guard bytes.count + chunk.count <= ControlMessage.bytesMax else { return .tooLarge }
        if let end = chunk.firstIndex(of: UInt8(ascii: "\n")) {
            bytes.append(contentsOf: chunk[..<end])
            return .line(bytes)
        }
        bytes.append(contentsOf: chunk)
        return .more
    }
}
