public import Hummingbird
import HummingbirdCore
public import Logging
public import NIOCore

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
    private static let connectionsMax = 4096

    private let api: HubAPI
    private let pages: RouterResponder<HubRequestContext>
    private let host: String
    private let port: Int
    private let logger: Logger
    private let onRunning: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - router: answers every path that is not the API's, e.g. the dashboard's.
    ///   - host: the address to listen on, and no other.
    ///   - port: 0 lets the system choose.
    ///   - onRunning: hears of the port once requests are accepted.
    public init(
        api: HubAPI, router: Router<HubRequestContext>, host: String, port: Int, logger: Logger,
        onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        self.api = api
        pages = router.buildResponder()
        self.host = host
        self.port = port
        self.logger = logger
        self.onRunning = onRunning
    }

    /// Serves until its task is cancelled or a graceful shutdown begins.
    /// - Throws: when the address cannot be bound.
    public func run() async throws { try await application().run() }

    /// The server as a service of a service group.
    public func application() -> some ApplicationProtocol {
        let responder = APIResponder(api: api, pages: pages)
        let onRunning = onRunning
        return Application(
            responder: responder,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [RequestTimeouts(.init())],
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: 16_384, maxHeaderListSize: 65_536, maxHeaderFieldCount: 128))),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), serverName: nil,
                availableConnectionsDelegate: MaximumAvailableConnections(Self.connectionsMax, logger: logger)),
            onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? 0) }, logger: logger)
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
