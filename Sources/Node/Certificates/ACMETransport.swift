public import AsyncHTTPClient
import Model
import NIOCore
import NIOHTTP1
import NIOSSL

/// What an authority answered.
public struct ACMEReply: Sendable {
    public var status: Int
    /// `Replay-Nonce` of RFC 8555 section 6.5.
    public var nonce: String?
    public var location: String?
    public var retryAfter: Duration?
    public var body: [UInt8]

    public init(
        status: Int, nonce: String? = nil, location: String? = nil, retryAfter: Duration? = nil, body: [UInt8] = []
    ) {
        self.status = status
        self.nonce = nonce
        self.location = location
        self.retryAfter = retryAfter
        self.body = body
    }
}

/// Carries requests to a certificate authority.
public protocol ACMETransport: Sendable {
    /// - Parameter body: nil for a GET.
    /// - Throws: `unavailable` or `timeout` when there is no answer.
    func send(_ url: String, body: [UInt8]?) async throws -> ACMEReply
}

/// Over HTTPS.
public struct HTTPACMETransport: ACMETransport {
    private static let bodyBytesMax = 1024 * 1024
    private let client: HTTPClient
    private let timeout: Duration

    public init(client: HTTPClient, timeout: Duration = .seconds(30)) {
        self.client = client
        self.timeout = timeout
    }

    public func send(_ url: String, body: [UInt8]?) async throws -> ACMEReply {
        guard url.hasPrefix("https://") else {
            throw Problem(.invalid, "The certificate authority gave an address that is not HTTPS.", context: url)
        }
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "user-agent", value: "roost")
        if let body {
            request.method = .POST
            request.headers.add(name: "content-type", value: "application/jose+json")
            request.body = .bytes(body)
        }
        do {
            let answer = try await client.execute(request, timeout: .milliseconds(timeout.milliseconds))
            let content = try await answer.body.collect(upTo: Self.bodyBytesMax)
            let wait = answer.headers.first(name: "retry-after").flatMap { Int64($0) }
            return ACMEReply(
                status: Int(answer.status.code), nonce: answer.headers.first(name: "replay-nonce"),
                location: answer.headers.first(name: "location"),
                retryAfter: wait.map { .seconds(max(0, min($0, 7 * 86_400))) },
                body: Array(content.readableBytesView))
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout {
            throw Problem(.timeout, "The certificate authority did not answer in time.")
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Problem(
                .unavailable, "The certificate authority cannot be reached.",
                hint: "The server must be able to open connections to it.", context: "\(url): \(error)")
        }
    }
}

/// Opens ways to certificate authorities.
public protocol ACMETransports: Sendable {
    /// - Parameter rootsPEM: roots that the authority's own TLS may be checked against, beside the system's.
    /// - Throws: `invalid` for roots that cannot be read.
    func transport(rootsPEM: String?) async throws -> any ACMETransport
}

/// Over HTTPS, to one authority at a time.
public actor HTTPACMETransports: ACMETransports {
    private var client: HTTPClient?

    public init() {}

    public func transport(rootsPEM: String?) async throws -> any ACMETransport {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(10)
        var tls = TLSConfiguration.makeClientConfiguration()
        if let rootsPEM {
            do {
                tls.additionalTrustRoots = [.certificates(try NIOSSLCertificate.fromPEMBytes(Array(rootsPEM.utf8)))]
            } catch {
                throw Problem(.invalid, "The roots of the certificate authority cannot be read.")
            }
        }
        configuration.tlsConfiguration = tls
        let former = client
        let next = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        client = next
        try await former?.shutdown()
        return HTTPACMETransport(client: next)
    }

    /// Closes what is open.
    public func shutdown() async throws {
        let last = client
        client = nil
        try await last?.shutdown()
    }
}
