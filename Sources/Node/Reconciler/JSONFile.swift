import AgentProtocol
import Host
import Model

/// Small state files: one JSON value each, replaced atomically.
enum JSONFile {
    static let bytesMax = 16_777_216

    /// The value, or nil when there is no file.
    /// - Throws: a problem that names the file when it cannot be read as `type`.
    static func read<Value: Decodable>(_ type: Value.Type, _ path: String, _ files: any Files) async throws -> Value? {
        guard let bytes = try await files.read(path, bytesMax: bytesMax) else { return nil }
        do {
            return try WireCoding.decode(type, from: try JSONParser.parse(bytes))
        } catch {
            throw Problem(
                .internalError, "The state file \(path) cannot be read.", hint: "Move it away to start afresh.",
                context: "\(error)")
        }
    }

    static func write(_ value: some Encodable, _ path: String, _ files: any Files) async throws {
        try await files.write(path, try WireCoding.encode(value).canonicalBytes, mode: 0o600)
    }
}
