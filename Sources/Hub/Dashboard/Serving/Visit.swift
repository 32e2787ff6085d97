import HTTPTypes
import HubCore
import Hummingbird
import Model

/// One request of a person who is logged in.
struct Visit: Sendable {
    var session: Session
    var path: [String]
    var query: FormBody
    var form = FormBody()
    var now: Timestamp
    /// `auto`, `light` or `dark`.
    var theme: String
    /// Path and query, to come back to.
    var here: String
    /// Address of the hub as this person reaches it.
    var hubURL: String

    var principal: Principal { session.principal }

    /// A value of the query without white space around it; nil when nothing is left or it is too long.
    func asked(_ name: String) -> String? {
        query.line(name).flatMap { $0.utf8.count <= 255 ? $0 : String($0.prefix(60)) }
    }
}

/// What is read from any request before anybody is logged in.
struct RequestHead: Sendable {
    var path: [String]
    var query: FormBody
    var cookies: [String: String]
    var here: String

    /// - Throws: `too_large` for a query with too many values.
    init(_ request: Request) throws {
        path = request.uri.path.split(separator: "/").prefix(8).map { Self.segment($0) }
        query = try FormBody(Array((request.uri.query ?? "").utf8))
        here = localPath(request.uri.path + (request.uri.query.map { "?\($0)" } ?? ""))
        cookies = [:]
        for field in request.headers[values: .cookie] {
            for pair in field.split(separator: ";").prefix(50) {
                let halves = pair.split(separator: "=", maxSplits: 1)
                guard halves.count == 2, let name = trimmed(String(halves[0])) else { continue }
                cookies[name] = trimmed(String(halves[1])) ?? ""
            }
        }
    }

    /// A path segment, percent-decoded; a plus sign stands for itself there.
    private static func segment(_ text: Substring) -> String {
        FormBody.decode(text.split(separator: "+", omittingEmptySubsequences: false).joined(separator: "%2B").utf8)
    }
}
