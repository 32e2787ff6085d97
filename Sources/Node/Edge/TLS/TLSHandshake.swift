import NIOCore
import NIOSSL
import NIOTLS

/// A connection whose client has not yet proved that it speaks TLS: chooses the certificate by the name in the client's
/// hello, waits for the handshake, then makes way for the protocol that was agreed on (RFC 7301).
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
final class TLSHandshake: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let loop: EdgeLoop
    private var context: ChannelHandlerContext?
    let beginning: UInt64
    let deadline: UInt64

    private init(loop: EdgeLoop) {
        self.loop = loop
        beginning = loop.coarseNow
        deadline = loop.coarseNow &+ loop.times.handshakeTimeout
    }

    /// Makes a fresh connection of the TLS listener ready. One too many is closed at once: handshakes cost more than
    /// anything else that a stranger may ask for.
    static func begin(_ channel: any Channel, loop: EdgeLoop, certificates: CertificateStore) throws {
        guard loop.secure.handshakeCount < loop.limits.handshakesMax else { throw ChannelError.ioOnClosedChannel }
        let handshake = TLSHandshake(loop: loop)
        let pipeline = channel.pipeline.syncOperations
        let names = SNIHandler { [unowned channel] result in
            channel.eventLoop.makeCompletedFuture {
                let name: String? = if case .hostname(let name) = result { name } else { nil }
                // In front of the waiting handler, behind this one, which hands on what it has read as it goes.
                try channel.pipeline.syncOperations.addHandler(
                    NIOSSLServerHandler(context: certificates.context(for: name)), position: .before(handshake))
            }
        }
        try pipeline.addHandlers(ByteToMessageHandler(names), handshake)
    }

    func close() { context?.close(mode: .all, promise: nil) }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.secure.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        loop.secure.remove(self)
        self.context = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let negotiated):
            do {
                try proceed(context, isHTTP2: negotiated == "h2")
            } catch {
                context.close(mode: .all, promise: nil)
            }
        case let event as ChannelEvent where event == .inputClosed: context.close(mode: .all, promise: nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    private func proceed(_ context: ChannelHandlerContext, isHTTP2: Bool) throws {
        let channel = context.channel
        if isHTTP2 {
            try HTTP2Session.begin(channel, loop: loop)
        } else {
            try channel.pipeline.syncOperations.addHandler(
                StreamHandler(ClientConnection(loop: loop, transport: .tls, remote: channel.remoteAddress)))
        }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(mode: .all, promise: nil) }
}

/// The connections of one event loop that are not yet, or not as such, in the hands of a ``ClientConnection``.
///
/// `@unchecked Sendable`: confined to its event loop.
final class SecureConnections: @unchecked Sendable {
    private var handshakes: [ObjectIdentifier: TLSHandshake] = [:]
    private var sessions: [ObjectIdentifier: HTTP2Session] = [:]
    /// Reused for each response head that becomes an HTTP/2 one.
    @exclusivity(unchecked) var responseHead = ResponseHead()
    /// The same for requests to upstreams that speak HTTP/2.
    @exclusivity(unchecked) var requestHead = RequestHead()

    var handshakeCount: Int { handshakes.count }
    /// HTTP/2 connections, whether or not they have streams.
    var sessionCount: Int { sessions.count }

    func add(_ handshake: TLSHandshake) { handshakes[ObjectIdentifier(handshake)] = handshake }
    func remove(_ handshake: TLSHandshake) { handshakes[ObjectIdentifier(handshake)] = nil }
    func add(_ session: HTTP2Session) { sessions[ObjectIdentifier(session)] = session }
    func remove(_ session: HTTP2Session) { sessions[ObjectIdentifier(session)] = nil }

    /// Ends handshakes that take too long and sessions without streams.
    func closeExpired(now: UInt64) {
        for handshake in Array(handshakes.values) where handshake.deadline <= now { handshake.close() }
        for session in Array(sessions.values) where session.deadline <= now { session.finish() }
    }

    /// Closes some of the handshakes that began by then, from the oldest on.
    func makeRoom(begunUntil time: UInt64) {
        let old = handshakes.values.filter { $0.beginning <= time }.sorted { $0.beginning < $1.beginning }
        for handshake in old.prefix(max(1, old.count / 4)) { handshake.close() }
    }

    /// No new streams.
    /// - Parameter closesHandshakes: those that are under way are not waited for.
    func drain(closesHandshakes: Bool) {
        if closesHandshakes { for handshake in Array(handshakes.values) { handshake.close() } }
        for session in Array(sessions.values) { session.finish() }
    }

    func stop() {
        for handshake in Array(handshakes.values) { handshake.close() }
        for session in Array(sessions.values) { session.closeNow() }
    }
}
