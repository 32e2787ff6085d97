import AsyncHTTPClient
public import Host
import Model
import NIOCore
import NIOHTTP1

/// Callbacks over HTTP, on connections of their own.
public final class HTTPCallbackSender: CallbackSender {
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(5)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    public init() {}

    public func post(
        _ url: String, headers: [String: String], body: [UInt8], timeout: Duration
    ) async throws -> Int {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.headers.add(name: "User-Agent", value: "roost")
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            let answer = try await Self.client.execute(request, timeout: .milliseconds(timeout.milliseconds))
            return Int(answer.status.code)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Problem(.unavailable, "The callback's server cannot be reached.", context: "\(error)")
        }
    }
}
