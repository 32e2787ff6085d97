import AsyncHTTPClient
public import Host
import Model
import NIOCore
import NIOHTTP1

/// Which machines callbacks may reach.
public enum CallbackReach: Sendable {
    /// Private networks and this machine as well.
    case everywhere
    /// Only addresses of the Internet: who may use the API is not to reach what the hub's network trusts.
    case internet
}

/// Callbacks over HTTP, on connections of their own: to the address that was looked at, wherever the name points later,
/// and to no place that an answer redirects to.
public final class HTTPCallbackSender: CallbackSender {
    private let reach: CallbackReach

    /// - Parameter reach: which machines may be called; none of them is ever one of link-local addresses.
    public init(reach: CallbackReach = .everywhere) { self.reach = reach }

    public func flaw(_ url: String) -> String? {
        do {
            let host = try HTTPClient.Request(url: url).host
            let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
            try CallbackAddress.judge(literal: isBracketed ? String(host.dropFirst().dropLast()) : host, reach)
            return nil
        } catch CallbackAddress.Refusal.privateNetwork {
            return "must not be an address of this machine or of a private network"
        } catch is CallbackAddress.Refusal {
            return "must not be a link-local address"
        } catch {
            return "must be an http or https URL"
        }
    }

    private func client(for host: String) async throws -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(5)
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        let name = isBracketed ? String(host.dropFirst().dropLast()) : host
        configuration.dnsOverride = [host: try await CallbackAddress.resolve(name, reach)]
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    public func post(
        _ url: String, headers: [String: String], body: [UInt8], timeout: Duration
    ) async throws -> Int {
        // The same reading of the address as the client's own.
        let host = try HTTPClient.Request(url: url).host
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.headers.add(name: "User-Agent", value: "roost")
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            let client = try await client(for: host)
            let result: Result<Int, any Error>
            do {
                let answer = try await client.execute(request, timeout: .milliseconds(timeout.milliseconds))
                result = .success(Int(answer.status.code))
            } catch {
                result = .failure(error)
            }
            try await client.shutdown()
            return try result.get()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Problem(.unavailable, "The callback's server cannot be reached.", context: "\(error)")
        }
    }
}
