/// Tells somebody's server what came of their request.
public protocol CallbackSender: Sendable {
    /// POSTs a body; follows no redirect. Returns the status code.
    /// - Throws: `unavailable`, `timeout`.
    func post(_ url: String, headers: [String: String], body: [UInt8], timeout: Duration) async throws -> Int
}
