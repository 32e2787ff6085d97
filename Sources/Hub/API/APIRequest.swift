import HTTPTypes
import HubCore
import Hummingbird
import Model
import NIOCore
import ResourceKit

/// A request on its way to an endpoint.
struct APIRequest: Sendable {
    /// Largest JSON body, in bytes.
    static let bodyBytesMax = 1_048_576

    let request: Request
    /// What stood for `{id}` in the path.
    let id: String
    let query: QueryParameters
    let principal: Principal
    let address: String

    /// The request as one for another resource.
    func with(id: String) -> APIRequest {
        APIRequest(request: request, id: id, query: query, principal: principal, address: address)
    }

    /// The body, at most `limit` bytes of it.
    /// - Throws: `too_large`.
    func body(limit: Int = bodyBytesMax) async throws -> [UInt8] {
        let tooLarge = Problem(.tooLarge, "The body must have at most \(limit) bytes.")
        if let length = request.headers[.contentLength].flatMap(Int.init), length > limit { throw tooLarge }
        var bytes: [UInt8] = []
        do {
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= limit else { throw tooLarge }
                bytes.append(contentsOf: part.readableBytesView)
            }
        } catch let error where !(error is Problem || error is CancellationError) {
            // The sender broke off, or its chunks are none (RFC 9112 section 7.1).
            throw Problem(.invalid, "The body could not be read.", context: "\(error)")
        }
        return bytes
    }

    /// The body as JSON; `.null` for an empty one, which the word `null` is not.
    /// - Throws: `too_large`, `malformed_json`, `invalid` for another content type.
    func json(limit: Int = bodyBytesMax, takesNull: Bool = false) async throws -> JSONValue {
        let type = request.headers[.contentType].map(Self.mediaType)
        let bytes = try await body(limit: limit)
        if bytes.isEmpty { return .null }
        guard type == nil || type == "application/json" else {
            throw Problem(.invalid, "The content type must be application/json.")
        }
        let value = try JSONParser.parse(bytes)
        guard takesNull || !value.isNull else { throw Problem(.invalid, "The body must be a JSON object, not null.") }
        return value
    }

    /// Of what takes no fields: nothing and an empty object are alike.
    /// - Throws: `invalid` for a body that holds anything.
    static func expectNoFields(in body: JSONValue) throws {
        guard !body.isNull else { return }
        guard let members = body.objectValue else {
            throw Problem(.invalid, "The body must be an object, not \(body.typeName).")
        }
        var flaws = FieldFlaws()
        [Field]().check(members, into: &flaws)
        if let problem = flaws.problem { throw problem }
    }

    /// - Throws: `invalid` for `plan=true` where nothing but doing it tells whether it can be done.
    func expectNoPlan() throws {
        guard try query.flag("plan") else { return }
        throw Problem.invalid("plan", "is not for sessions and your own account; nothing was changed")
    }

    /// `Application/JSON; charset=utf-8` → `application/json`.
    static func mediaType(_ header: String) -> String {
        var type = header.prefix { $0 != ";" }.lowercased()
        while type.last == " " { type.removeLast() }
        return type
    }

    /// - Throws: `invalid` for an `If-Match` that is not the revision of a resource.
    func options() throws -> MutationOptions {
        var options = MutationOptions(
            idempotencyKey: request.headers[.init("Idempotency-Key")!], isPlan: try query.flag("plan"),
            callbackURL: query["callback_url"])
        if let text = request.headers[.ifMatch], text != "*" {
            let digits = text.filter { $0 != "\"" }
            guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let version = Int64(digits) else {
                throw Problem(.invalid, "If-Match must be the revision of the resource.")
            }
            options.ifMatch = version
        }
        return options
    }
}
