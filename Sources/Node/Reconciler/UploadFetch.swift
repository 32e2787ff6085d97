import Host
import Model

/// Brings an upload from the hub, piece by piece, and goes on where it was cut off.
struct UploadFetch: Sendable {
    private static let pieceBytes = 8_388_608
    private static let pieceTimeout: Duration = .seconds(120)

    let host: Host
    let hub: SignedHub
    let folder: String

    /// - Returns: the path of the whole archive, whose digest was checked.
    /// - Throws: `unavailable` while the hub is away or does not have it; `untrusted` when it sent something else.
    func fetch(_ digest: String) async throws -> String {
        let (host, path) = (host, "\(folder)/\(digest)")
        if try await host.files.digest(path) == digest { return path }
        var size = try await host.files.size(path) ?? 0
        while true {
            let piece = try await piece(digest, from: size)
            if piece.isEmpty { break }
            try await host.effect("upload.append") { try await host.files.append(path, piece, mode: 0o600) }
            size += Int64(piece.count)
        }
        guard try await host.files.digest(path) == digest else {
            // A cut in the middle of an append can leave a damaged part: the next attempt begins anew.
            try await host.effect("upload.discard") { try await host.files.remove(path) }
            throw Problem(.unavailable, "The upload arrived damaged; it will be fetched again.")
        }
        return path
    }

    private func piece(_ digest: String, from offset: Int64) async throws -> [UInt8] {
        let reply = try await hub.get(
            "/api/v1/agent/uploads/\(digest)?offset=\(offset)&count=\(Self.pieceBytes)", ifNoneMatch: nil,
            timeout: Self.pieceTimeout)
        guard reply.status == 200 else { throw SignedHub.problem(reply) }
        return reply.body
    }
}
