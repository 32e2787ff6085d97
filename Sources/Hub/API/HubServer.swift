import Host
public import Hummingbird
import HummingbirdCore
import HummingbirdTLS
public import Logging
import Model
public import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
public import NIOSSL

/// What the hub's server needs of a request.
public struct HubRequestContext: RemoteAddressRequestContext {
    public var coreContext: CoreRequestContextStorage
    public let remoteAddress: SocketAddress?

    public init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        remoteAddress = source.channel.remoteAddress
    }
}

/// The hub's HTTP server: the API, and whatever the router has besides.
public struct HubServer: Sendable {
    /// Each agent keeps two connections open. More than this many cost more memory than a hub should need.
    private static let connectionsMax = 65_536

    private let api: HubAPI
    private let pages: RouterResponder<HubRequestContext>
    private let host: String
    private let port: Int
    private let logger: Logger
    private let tls: TLSConfiguration?
    private let onRunning: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - router: answers every path that is not the API's, e.g. the dashboard's.
    ///   - host: the address to listen on, and no other.
    ///   - port: 0 lets the system choose.
    ///   - tls: certificate and key; nil for plain HTTP.
    ///   - onRunning: hears of the port once requests are accepted.
    public init(
        api: HubAPI, router: Router<HubRequestContext>, host: String, port: Int, logger: Logger,
        tls: TLSConfiguration? = nil,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        self.api = api
        pages = router.buildResponder()
        self.host = host
        self.port = port
        self.logger = logger
        self.tls = tls
        self.onRunning = onRunning
    }

    /// Serves until its task is cancelled or a graceful shutdown begins.
    /// - Throws: when the address cannot be bound.
    public func run() async throws { try await application().run() }

    /// The server as a service of a service group.
    /// - Throws: when certificate and key do not fit together.
    public func application() throws -> some ApplicationProtocol {
        let responder = APIResponder(api: api, pages: pages)
        let onRunning = onRunning
        let connectionsMax = min(DescriptorLimit.raised().connectionsMax, Self.connectionsMax)
        let api = api
        let plain = HTTPServerBuilder.http1(
            configuration: .init(
                additionalChannelHandlers: [FrontHandlers(api)],
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16_384, maxHeaderListSize: 65_536, maxHeaderFieldCount: 128)))
        return Application(
            responder: responder, server: try tls.map { try .tls(plain, tlsConfiguration: $0) } ?? plain,
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), serverName: nil,
                availableConnectionsDelegate: MaximumAvailableConnections(connectionsMax, logger: logger)),
            onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? 0) }, logger: logger)
    }
}

/// Puts what looks at every request to where it sees it first: heartbeats as bytes, others as the decoder read them.
private final class FrontHandlers: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any
    private let api: HubAPI

    init(_ api: HubAPI) { self.api = api }

    func handlerAdded(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let codec = try pipeline.handler(type: HTTP1ToHTTPServerCodec.self)
            let (passed, timeouts) = (PassedRequests(), RequestTimeouts(.init()))
            try pipeline.addHandlers([passed, timeouts], position: .before(codec))
            let encoder = try pipeline.handler(type: HTTPResponseEncoder.self)
            try pipeline.addHandler(HeartbeatLane(api, passed, timeouts), position: .before(encoder))
            pipeline.removeHandler(context: context, promise: nil)
        } catch {
            // Without them nobody would be held to any time.
            context.close(promise: nil)
        }
    }
}

extension TLSConfiguration {
    /// A server with this certificate chain and key, both PEM files; TLS 1.2 or newer.
    ///
    /// - Throws: `invalid` for a file that cannot be read or holds something else.
    public static func hub(certificate: String, key: String) throws -> TLSConfiguration {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(certificate)
            let privateKey = try NIOSSLPrivateKey(file: key, format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(privateKey))
            configuration.minimumTLSVersion = .tlsv12
            return configuration
        } catch {
            throw Problem(
                .invalid, "The certificate or key of the hub cannot be read: \(certificate), \(key).",
                hint: "Both must be PEM files that the hub may read.", context: "\(error)")
        }
    }
}

/// The API first, then the router.
private struct APIResponder: HTTPResponder {
    let api: HubAPI
    let pages: RouterResponder<HubRequestContext>

    func respond(to request: Request, context: HubRequestContext) async throws -> Response {
        if let response = await api.respond(to: request, address: context.remoteAddress?.ipAddress ?? "unknown") {
            return response
        }
        return try await pages.respond(to: request, context: context)
    }
}
