/// Tells somebody's server what came of their request.
public protocol CallbackSender: Sendable {
    /// Why nothing would be sent to a URL, as far as can be told without asking for its name; nil when it would.
    func flaw(_ url: String) -> String?
    /// POSTs a body; follows no redirect. Returns the status code.
    /// - Throws: `unavailable`, `timeout`.
    func post(_ url: String, headers: [String: String], body: [UInt8], timeout: Duration) async throws -> Int
}

extension CallbackSender {
    /// Nothing can be told.
    public func flaw(_ url: String) -> String? { nil }
}
