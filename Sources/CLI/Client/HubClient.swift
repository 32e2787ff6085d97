import AsyncHTTPClient
import Model
import NIOCore
import NIOHTTP1

/// What the hub answered.
struct HubAnswer: Sendable {
    var status: Int
    /// `.null` for an empty body.
    var body: JSONValue
}

/// The hub's API over HTTP.
struct HubClient: Sendable {
    private static let answerBytesMax = 33_554_432
    private static let uploadTimeout: Duration = .seconds(7200)
    /// Items per page; the largest that the API allows.
    private static let pageSize = 200

    /// One for the life of the process. A refused connection is an answer: trying again until the time is up, which is
    /// this client's habit, would keep a person waiting for it.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration.singletonConfiguration
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(10)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    let connection: Connection
    let requestTimeout: Duration

    /// Sends one request.
    ///
    /// - Parameter path: below `/api/v1`, segments already encoded, e.g. `/services/ID/deploy`.
    /// - Throws: the hub's error as a problem with its code; `hub_unreachable`; `timeout`.
    func send(
        _ method: String, _ path: String, query: [(String, String)] = [], body: JSONValue? = nil,
        headers: [String: String] = [:]
    ) async throws -> HubAnswer {
        var request = makeRequest(method, path, query: query)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body.canonicalBytes))
        }
        let response = try await execute(request)
        return try await read(response)
    }

    func get(_ path: String, query: [(String, String)] = []) async throws -> JSONValue {
        try await send("GET", path, query: query).body
    }

    /// All items of a list, page by page, up to a limit.
    func list(_ path: String, query: [(String, String)] = [], limit: Int = 10_000) async throws -> [JSONValue] {
        var items: [JSONValue] = []
        var cursor: String?
        while items.count < limit {
            var page = query + [("limit", String(min(Self.pageSize, limit - items.count)))]
            if let cursor { page.append(("cursor", cursor)) }
            let answer = try await get(path, query: page)
            guard let values = answer["items"]?.arrayValue else {
                throw Problem(.internalError, "The hub's answer to \(path) is not a list.")
            }
            items += values
            guard answer["has_more"] == true, let next = answer["next_cursor"]?.stringValue, next != cursor
            else { break }
            cursor = next
        }
        return Array(items.prefix(limit))
    }

    /// Sends an archive, piece by piece; takes as long as it moves.
    func upload(
        _ path: String, query: [(String, String)], _ archive: LocalArchive,
        onProgress: @escaping @Sendable (Int64) -> Void
    ) async throws -> HubAnswer {
        var request = makeRequest("PUT", path, query: query)
        request.headers.add(name: "Content-Type", value: "application/octet-stream")
        request.body = .stream(
            FilePieces(path: archive.path, onProgress: onProgress), length: .known(archive.sizeBytes))
        return try await read(try await execute(request, limit: Self.uploadTimeout))
    }

    /// Opens an answer that does not end by itself; the caller reads it piece by piece.
    func stream(_ path: String, query: [(String, String)] = [], headers: [String: String] = [:]) async throws
        -> HTTPClientResponse
    {
        var request = makeRequest("GET", path, query: query)
        request.headers.replaceOrAdd(name: "Accept", value: "text/event-stream, text/plain;q=0.5")
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        let response = try await execute(request)
        if response.status.code >= 300 { _ = try await read(response) }
        return response
    }

    private func makeRequest(_ method: String, _ path: String, query: [(String, String)]) -> HTTPClientRequest {
        var url = "\(connection.url)/api/v1\(path)"
        if !query.isEmpty {
            url += "?" + query.map { "\(Self.encoded($0.0))=\(Self.encoded($0.1))" }.joined(separator: "&")
        }
        var request = HTTPClientRequest(url: url)
        request.method = HTTPMethod(rawValue: method)
        request.headers.add(name: "Accept", value: "application/json")
        request.headers.add(name: "User-Agent", value: "roost-cli")
        if let key = connection.key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        return request
    }

    private func execute(_ request: HTTPClientRequest, limit: Duration? = nil) async throws -> HTTPClientResponse {
        do {
            // Ends with the head of the answer; reading the body has a limit of its own.
            let limit = limit ?? requestTimeout
            return try await Self.http.execute(request, timeout: .milliseconds(limit.milliseconds))
        } catch let error as CancellationError {
            throw error
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout {
            throw slow
        } catch {
            try Task.checkCancellation()
            throw Problem(
                .hubUnreachable, "No hub answers at \(connection.url).",
                hint: "Start one with `roost up`, or name another with ROOST_URL or `roost login URL`.",
                context: "\(error)")
        }
    }

    private var slow: Problem {
        Problem(
            .timeout, "The hub at \(connection.url) did not answer within \(requestTimeout.shortText).",
            hint: "Wait longer with --request-timeout.")
    }

    private func read(_ response: HTTPClientResponse) async throws -> HubAnswer {
        let status = Int(response.status.code)
        let bytes: [UInt8]
        do {
            let collected = try await withLimit(requestTimeout) {
                try await response.body.collect(upTo: Self.answerBytesMax)
            }
            guard let collected else { throw slow }
            bytes = Array(buffer: collected)
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.unavailable, "The hub's answer broke off.", context: "\(error)")
        }
        let isJSON = response.headers.first(name: "Content-Type")?.contains("json") ?? false
        guard (200..<300).contains(status) else {
            // An answer that is no JSON comes from something in between; its status still says what happened.
            throw Self.problem(status: status, body: isJSON ? (try? JSONParser.parse(bytes)) : nil, response)
        }
        guard !bytes.isEmpty else { return HubAnswer(status: status, body: .null) }
        guard isJSON else {
            throw Problem(
                .internalError, "What answers at this address is not a Roost hub.",
                hint: "Check ROOST_URL or the profile.")
        }
        return HubAnswer(status: status, body: try JSONParser.parse(bytes))
    }

    static func problem(status: Int, body: JSONValue?, _ response: HTTPClientResponse) -> Problem {
        var fields: [String: String] = [:]
        for (name, why) in body?["fields"]?.objectValue ?? [:] { fields[name] = why.stringValue }
        let message =
            body?["error"]?.stringValue ?? "What answers at this address is not a Roost hub: it says status \(status)."
        let code = body?["code"]?.stringValue ?? "http_\(status)"
        let wait = response.headers.first(name: "Retry-After").flatMap { Int64($0) }
        return Problem(
            Problem.Code(code), message, hint: body?["hint"]?.stringValue ?? hint(status: status), fields: fields,
            retryAfter: wait.map { .seconds($0) })
    }

    private static func hint(status: Int) -> String? {
        switch status {
        case 401: "Run `roost login`, or set ROOST_API_KEY; `roost up` writes its key to admin.key in its data folder."
        case 429: "Try again in a moment."
        default: nil
        }
    }

    /// Percent-encodes all but unreserved characters (RFC 3986 section 2.3).
    static func encoded(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            let isAlphanumeric =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            if isAlphanumeric || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                out += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return out
    }
}
