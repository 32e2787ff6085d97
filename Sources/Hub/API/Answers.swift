import HTTPTypes
import HubCore
import Hummingbird
import Model

/// Responses in the form that every endpoint answers.
enum Answers {
    static func json(
        _ value: JSONValue, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        headers[.cacheControl] = "no-store"
        return Response(
            status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.canonicalBytes)))
    }

    static func text(_ text: String, type: String, headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = type
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    static func empty(_ status: HTTPResponse.Status, headers: HTTPFields = [:]) -> Response {
        Response(status: status, headers: headers, body: ResponseBody())
    }

    /// `{"error", "code", "fields"}` with the status of the code. The context of a problem stays behind.
    static func problem(_ problem: Problem) -> Response {
        let (status, headers, body) = parts(of: problem)
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    /// See ``problem(_:)``.
    static func parts(of problem: Problem) -> (status: HTTPResponse.Status, headers: HTTPFields, body: [UInt8]) {
        var headers: HTTPFields = [.contentType: "application/json", .cacheControl: "no-store"]
        let status = status(of: problem.code)
        if let wait = problem.retryAfter ?? (status == .serviceUnavailable ? .seconds(5) : nil) {
            headers[.retryAfter] = String(max(1, (wait.milliseconds + 999) / 1000))
        }
        if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer realm=\"roost\"" }
        let body: JSONValue = [
            "error": .string(problem.description), "code": .string(problem.code.rawValue),
            "fields": .object(problem.fields.mapValues(JSONValue.string)),
        ]
        return (status, headers, body.canonicalBytes)
    }

    static func status(of code: Problem.Code) -> HTTPResponse.Status {
        switch code {
        case .unauthenticated, .totpRequired, .sessionRefused: .unauthorized
        case .forbidden: .forbidden
        case .notFound: .notFound
        case .conflict, .stale: .conflict
        case .tooLarge: .contentTooLarge
        case .rateLimited: .tooManyRequests
        case .methodNotAllowed: .methodNotAllowed
        case .unavailable, .storage, .timeout: .serviceUnavailable
        case .internalError: .internalServerError
        default: .badRequest
        }
    }
}

extension Problem.Code {
    static let methodNotAllowed = Self("method_not_allowed")
}
