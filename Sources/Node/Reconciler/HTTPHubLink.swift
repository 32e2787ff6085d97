public import AsyncHTTPClient
import Model
import NIOCore
import NIOHTTP1

/// The hub over HTTP.
public struct HTTPHubLink: HubLink {
    private let client: HTTPClient
    private let base: String
    private static let answerBytesMax = 33_554_432

    /// - Parameter base: e.g. `https://hub.example.org:7600`, without a slash at the end.
    public init(client: HTTPClient, base: String) {
        self.client = client
        self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
    }

    public func exchange(_ request: HubRequest) async throws -> HubReply {
        var message = HTTPClientRequest(url: base + request.path)
        message.method = .RAW(value: request.method)
        for (name, value) in request.headers.sorted(by: { $0.key < $1.key }) {
            message.headers.add(name: name, value: value)
        }
        if !request.body.isEmpty { message.body = .bytes(request.body) }
        do {
            let answer = try await client.execute(
                message, timeout: .milliseconds(request.timeout.milliseconds))
            let body = try await answer.body.collect(upTo: Self.answerBytesMax)
            return HubReply(status: Int(answer.status.code), body: Array(body.readableBytesView))
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout {
            throw Problem(.timeout, "The hub did not answer in time.")
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Problem(.unavailable, "The hub cannot be reached.", context: "\(error)")
        }
    }
}
