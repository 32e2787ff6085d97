import AppsResources
public import Host
import HubStore
import Logging
import Model
import ResourceKit

/// Releases from archives that somebody sent, instead of from git.
extension Hub {
    /// Uploads that no deployment needs are kept this long: a deployment may be about to name them.
    private static let spareUploadAge: Duration = .seconds(3600)

    /// Deploys an upload that was received; answers the deployment that runs already when nothing changed.
    ///
    /// - Returns: 202 with the deployment; 200 with a plan.
    /// - Throws: `forbidden`, `not_found`, `conflict`, `storage_failed`.
    public func deploy(
        _ upload: StoredUpload, serviceId: String, options: MutationOptions = .init(), as principal: Principal
    ) async throws -> MutationAnswer {
        guard let kind = kind("service"), let deploymentKind = self.kind("deployment") else {
            throw Problem(.internalError, "There is no kind service.")
        }
        let body: JSONValue = [
            "upload": .string(upload.digest), "size_bytes": .int(upload.sizeBytes),
            "files": .int(Int64(upload.contents.files)),
        ]
        let mutation = Mutation(
            kind: kind, action: "upload", id: serviceId, body: body, fields: [], options: options,
            principal: principal)
        return try await mutate(mutation) {
            return { [self] transaction in
                let service = try changeable(kind, serviceId, mutation, transaction)
                let record =
                    try Self.running(.upload(upload.digest), service, transaction)
                    ?? Deployments.start(
                        of: service, .upload(upload.digest), reason: "upload", by: principal.name, transaction)
                return MutationOutcome(
                    id: serviceId, answer: MutationAnswer(code: 202, body: rendered(record, deploymentKind)))
            }
        }
    }

    /// The deployment that brings or brought this source live with the settings of now; nil when there is none.
    static func running(
        _ source: DeploymentSource, _ service: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord? {
        guard let id = service.state["deployment_id"]?.stringValue, let last = try transaction.get("deployment", id),
            DeploymentSource(of: last) == source, last.status == .active || last.status == .provisioning,
            last.state["snapshot"]?.objectValue == Deployments.snapshot(service.spec)
        else { return nil }
        return last
    }

    /// A piece of an upload, for a server that is to run it.
    /// - Throws: `not_found` for an upload that is not there or is not for this server.
    public func upload(_ digest: String, offset: Int64, count: Int, nodeId: String) async throws -> [UInt8] {
        let isWanted = try await store.read { transaction in
            guard let stackId = try transaction.get("node", nodeId)?.spec["stack_id"]?.stringValue else { return false }
            return try transaction.all("service", parentId: stackId).contains { service in
                try Deployments.keptUploads(of: service, transaction).contains(digest)
            }
        }
        guard isWanted, let bytes = try await world.uploads.read(digest, offset: offset, count: count) else {
            throw Problem(.notFound, "There is no such upload.")
        }
        return bytes
    }

    /// Removes uploads that no service can go back to.
    func pruneUploads() async throws {
        let needed = try await store.read { transaction in
            try transaction.all("service", parentId: nil).reduce(into: Set<String>()) { needed, service in
                needed.formUnion(try Deployments.keptUploads(of: service, transaction))
            }
        }
        try await world.uploads.keepOnly(needed, olderThan: Self.spareUploadAge)
    }
}
