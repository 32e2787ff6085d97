import Glibc
import NIOCore

/// A TCP connection that is being made.
///
/// `@unchecked Sendable`: confined to its loop.
final class Connecting: LoopSource, @unchecked Sendable {
    typealias Completion = (Result<Int32, any Error>) -> Void

    private let loop: SocketLoop
    private let completion: Completion
    private var descriptor: Int32
    private var timeout: Scheduled<Void>?

    /// Connects; `completion` is called once, with the connected socket. At once when there is none to be had, and
    /// otherwise not before what the loop is doing now is done.
    static func connect(
        to address: SocketAddress, on loop: SocketLoop, timeout: UInt64, completion: @escaping Completion
    ) {
        let family =
            switch address.protocol {
            case .inet6: AF_INET6
            case .unix: AF_UNIX
            default: AF_INET
            }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { return completion(.failure(IOError(errnoCode: errno, reason: "socket"))) }
        if family != AF_UNIX { SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
        let connecting = Connecting(loop, descriptor, completion)
        let status = address.withSockAddr { Glibc.connect(descriptor, $0, socklen_t($1)) }
        let code = errno
        if status != 0, code == EINPROGRESS { return connecting.wait(timeout) }
        let error = status == 0 ? nil : IOError(errnoCode: code, reason: "connect")
        loop.assumeIsolated().execute { connecting.finish(error) }
    }

    private init(_ loop: SocketLoop, _ descriptor: Int32, _ completion: @escaping Completion) {
        self.loop = loop
        self.descriptor = descriptor
        self.completion = completion
    }

    private func wait(_ nanoseconds: UInt64) {
        do {
            try loop.watch(descriptor, for: self, onlyChanges: true)
        } catch {
            return loop.assumeIsolated().execute { self.finish(error) }
        }
        let limit = TimeAmount.nanoseconds(Int64(clamping: nanoseconds))
        timeout = loop.assumeIsolated().scheduleTask(in: limit) { self.finish(ChannelError.connectTimeout(limit)) }
    }

    override func ready(_ events: UInt32) {
        guard descriptor >= 0 else { return }
        if let code = SocketOption.takeError(descriptor) { return finish(IOError(errnoCode: code, reason: "connect")) }
        // Told at the beginning, when nothing is decided yet, that it is neither connected nor broken.
        if isConnected { finish(nil) }
    }

    private var isConnected: Bool {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) }
        } == 0
    }

    private func finish(_ error: (any Error)?) {
        guard descriptor >= 0 else { return }
        let connected = descriptor
        descriptor = -1
        timeout?.cancel()
        timeout = nil
        loop.letGo(of: self, watching: connected)
        if let error {
            close(connected)
            completion(.failure(error))
        } else {
            completion(.success(connected))
        }
    }

    override func loopEnded() { finish(ChannelError.ioOnClosedChannel) }
}
