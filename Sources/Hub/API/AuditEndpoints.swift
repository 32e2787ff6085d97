import HTTPTypes
import HubCore
import Hummingbird
import Model
import NIOCore

/// The whole audit log: as lines, and whether it is whole.
extension HubAPI {
    func auditEndpoints() -> [Endpoint] {
        var verify = Operation(
            id: "verify-audit-logs", tag: "platform",
            summary: "Check the chain of hashes of the audit log: whether an entry was changed or removed.")
        verify.answers = [(200, Schema.reference("audit-verdict"))]
        var export = Operation(
            id: "export-audit-logs", tag: "platform",
            summary: "Read the audit log as lines of JSON, oldest first, each with its hash.")
        export.parameters = [
            Schema.parameter("after", ["type": "integer", "minimum": 0], "Only entries with a greater id.")
        ]
        export.answers = [(200, ["type": "string"])]
        export.mediaType = "application/jsonl"
        return [
            Endpoint(method: .get, path: "\(Self.base)/audit-logs/verify", access: .key, operation: verify) {
                let broken = try await hub.firstBrokenAudit(as: $0.principal)
                return Answers.json([
                    "is_whole": .bool(broken == nil), "first_broken_id": broken.map { .int($0) } ?? .null,
                ])
            },
            Endpoint(method: .get, path: "\(Self.base)/audit-logs/export", access: .key, operation: export) {
                request in
                let after = try request.query.integer("after", in: 0...Int64.max, default: 0)
                let principal = request.principal
                let first = try await hub.auditChain(after: after, as: principal)
                var headers: HTTPFields = [:]
                headers[.contentType] = "application/jsonl"
                headers[.cacheControl] = "no-store"
                let body = ResponseBody { writer in
                    var page = first
                    while let last = page.last?["id"]?.intValue {
                        var lines = ByteBuffer()
                        for entry in page { lines.writeBytes(entry.canonicalBytes + [10]) }
                        try await writer.write(lines)
                        page = try await hub.auditChain(after: last, as: principal)
                    }
                    try await writer.finish(nil)
                }
                return Response(status: .ok, headers: headers, body: body)
            },
        ]
    }
}
