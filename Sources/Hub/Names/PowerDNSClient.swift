import AsyncHTTPClient
import Model
import NIOCore
import NIOHTTP1
import NamesResources

/// PowerDNS over its HTTP API, on connections of its own.
public struct PowerDNSClient: ZoneServer {
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(5)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 8
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()
    private static let timeout = TimeAmount.seconds(30)
    private static let answerBytesMax = 256 << 20

    private let url: String
    private let key: String

    /// - Parameters:
    ///   - url: of the server, without a path.
    ///   - key: its API key, in the open.
    public init(url: String, key: String) {
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        self.key = key
    }

    public func zone(_ name: String) async throws -> ServedZone? {
        let (status, body) = try await send(.GET, "/\(name).")
        if status == 404 { return nil }
        let answer = try accepted(status, body)
        return ServedZone((answer["rrsets"]?.arrayValue ?? []).compactMap(Self.set))
    }

    public func create(_ name: String, sets: [RecordSet]) async throws {
        let zone: JSONValue = [
            // Secondaries may fetch it; servers that share a database do not mind.
            "name": .string("\(name)."), "kind": "Master", "nameservers": [], "dnssec": false,
            // Each change through the API raises the serial.
            "soa_edit_api": "DEFAULT", "soa_edit": "", "rrsets": .array(sets.map { Self.json(.replace($0)) }),
        ]
        let (status, body) = try await send(.POST, "", zone)
        if status == 409 { return }
        try accepted(status, body)
    }

    public func change(_ name: String, _ changes: [RecordSetChange]) async throws {
        let (status, body) = try await send(.PATCH, "/\(name).", ["rrsets": .array(changes.map(Self.json))])
        try accepted(status, body)
    }

    public func delete(_ name: String) async throws {
        let (status, body) = try await send(.DELETE, "/\(name).")
        if status != 404 { try accepted(status, body) }
    }

    private func send(
        _ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil
    ) async throws -> (Int, [UInt8]) {
        var request = HTTPClientRequest(url: "\(url)/api/v1/servers/localhost/zones\(path)")
        request.method = method
        request.headers.add(name: "X-API-Key", value: key)
        request.headers.add(name: "Accept", value: "application/json")
        request.headers.add(name: "User-Agent", value: "roost")
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body.canonicalBytes))
        }
        do {
            let answer = try await Self.client.execute(request, timeout: Self.timeout)
            let bytes = try await answer.body.collect(upTo: Self.answerBytesMax)
            return (Int(answer.status.code), Array(bytes.readableBytesView))
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw ZoneServerFailure.away("PowerDNS at \(url) does not answer.")
        }
    }

    @discardableResult
    private func accepted(_ status: Int, _ body: [UInt8]) throws -> JSONValue {
        var answer: JSONValue = .null
        do {
            if !body.isEmpty { answer = try JSONParser.parse(body) }
        } catch {
            // A page of something else that listens there; below it is refused with its status.
            if (200..<300).contains(status) {
                throw ZoneServerFailure.away("What answers at \(url) is not the API of PowerDNS.")
            }
        }
        let said = answer["error"]?.stringValue.map { ": \(Self.line($0))" } ?? "."
        switch status {
        case 200..<300: return answer
        case 401, 403:
            throw ZoneServerFailure.away(
                "PowerDNS at \(url) refuses the API key; set dns_api_key to the api-key of its configuration.")
        case 400, 409, 422: throw ZoneServerFailure.refused("PowerDNS refused it\(said)")
        default: throw ZoneServerFailure.troubled("PowerDNS at \(url) answered with status \(status)\(said)")
        }
    }

    private static func line(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(300).map { $0.value < 0x20 ? " " : $0 }))
    }

    private static func set(_ json: JSONValue) -> RecordSet? {
        guard let name = json["name"]?.stringValue, let type = json["type"]?.stringValue else { return nil }
        // What is disabled is not served.
        let records = (json["records"]?.arrayValue ?? []).filter { $0["disabled"] != true }
        guard !records.isEmpty else { return nil }
        return RecordSet(
            .init(name: DomainName.canonical(name), type: type), ttlSeconds: json["ttl"]?.intValue ?? 0,
            contents: records.compactMap { $0["content"]?.stringValue })
    }

    private static func json(_ change: RecordSetChange) -> JSONValue {
        let own: [String: JSONValue]
        switch change {
        case .replace(let set):
            own = [
                "changetype": "REPLACE", "ttl": .int(set.ttlSeconds),
                "records": .array(set.contents.map { ["content": .string($0), "disabled": false] }),
            ]
        case .delete: own = ["changetype": "DELETE"]
        }
        return .object(
            own.merging(["name": .string("\(change.key.name)."), "type": .string(change.key.type)]) { first, _ in first
            })
    }
}
