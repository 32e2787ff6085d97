import HTTPTypes
import Host
import HubCore
import Hummingbird
import Model
import NIOCore
import ResourceKit

/// Archives instead of git: how they come in, and how servers get them.
extension HubAPI {
    func uploadEndpoints() -> [Endpoint] {
        guard let kind = hub.kind("service") else { return [] }
        var operation = Operation(
            id: "upload-service", tag: kind.plural,
            summary: "Deploy an archive (tar, tar.gz or zip) instead of a commit; it is streamed.")
        operation.parameters = [Schema.idParameter] + Schema.mutationParameters(isPost: false)
        operation.isUpload = true
        operation.isBodyRequired = true
        operation.answers = [(202, Schema.reference("deployment")), (200, Schema.reference("plan"))]
        return [
            Endpoint(
                method: .put, path: "\(Self.base)/\(kind.plural)/{id}/upload", access: .key, operation: operation
            ) { request in
                try await receiveUpload(request)
            }
        ]
    }

    private func receiveUpload(_ request: APIRequest) async throws -> Response {
        guard let kind = hub.kind("service") else { throw Problem(.notFound, "There are no services here.") }
        let (options, upload): (MutationOptions, StoredUpload)
        do {
            try await hub.admit(kind, "write", id: request.id, as: request.principal)
            options = try request.options()
            upload = try await received(request)
        } catch {
            let problem = Problem(wrapping: error, doing: "Receiving the upload")
            await hub.auditRefusal(kind, "upload", id: request.id, problem, as: request.principal)
            throw problem
        }
        let answer = try await hub.deploy(upload, serviceId: request.id, options: options, as: request.principal)
        return Answers.json(answer.body, status: .init(code: answer.code))
    }

    private func received(_ request: APIRequest) async throws -> StoredUpload {
        do {
            return try await hub.world.uploads.receive(request.request.body.map { Array($0.readableBytesView) })
        } catch let error where !(error is Problem || error is CancellationError) {
            throw Problem(.invalid, "The upload was broken off.", context: "\(error)")
        }
    }

    /// `GET /agent/uploads/{id}?offset=&count=`: signed by a server that is to run it.
    func uploadPiece(_ request: APIRequest, nodeId: String) async throws -> Response {
        let offset = try request.query.integer("offset", in: 0...Int64.max, default: 0)
        let count = try request.query.integer("count", in: 1...8_388_608, default: 8_388_608)
        let bytes = try await hub.upload(request.id, offset: offset, count: Int(count), nodeId: nodeId)
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
