import AgentProtocol
import Model

/// The control protocol: one line of JSON each way, then the connection is closed.
///
/// `{"apply": TABLE}` or `{"status": true}`; answered with `{"ok": STATUS}` or `{"problem": {code, message, …}}`.
/// `{"hand_over": GENERATION}` is asked by an edge process that takes over; see ``Handover``.
enum ControlMessage {
    static let bytesMax = 16 * 1024 * 1024

    enum Request {
        case apply(EdgeTable)
        case status
        case handOver(generation: Int)
    }

    static func encode(_ request: Request) throws(Problem) -> [UInt8] {
        do {
            let json: JSONValue =
                switch request {
                case .apply(let table): ["apply": try WireCoding.encode(table)]
                case .status: ["status": true]
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
        if let generation = json["hand_over"]?.intValue { return .handOver(generation: Int(generation)) }
        guard json["status"]?.boolValue == true else {
            throw Problem(.invalid, "The edge understands apply, status and hand_over only.")
        }
        return .status
    }

    static func encode(_ result: Result<EdgeStatus, Problem>) -> [UInt8] {
        let json: JSONValue
        do {
            json = ["ok": try WireCoding.encode(try result.get())]
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

    static func decodeResponse(_ line: [UInt8]) throws(Problem) -> EdgeStatus {
        let json = try JSONParser.parse(line)
        if let status = json["ok"] { return try WireCoding.decode(EdgeStatus.self, from: status) }
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
