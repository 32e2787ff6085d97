import CRoost
import Glibc
import NIOCore

/// Accepts from one listening socket, as many as there is room for.
///
/// When the loop has as many connections as it may, those that have been idle for longest make room. Out of
/// descriptors, or with no room made, it waits a moment instead of trying at once, for ever.
///
/// `@unchecked Sendable`: confined to its loop.
final class Acceptor: LoopSource, @unchecked Sendable {
    /// Of one turn of the loop.
    private static let connectionsMax = 64

    private let loop: EdgeLoop
    private let take: (Int32, SocketAddress?) -> Void
    private var descriptor: Int32
    private var isWaiting = false

    /// - Parameter take: given each accepted socket, and who is at the other end.
    init(_ descriptor: Int32, _ loop: EdgeLoop, _ take: @escaping (Int32, SocketAddress?) -> Void) {
        self.descriptor = descriptor
        self.loop = loop
        self.take = take
    }

    /// - Throws: `IOError` when the system cannot watch one more; the socket is closed then.
    func start() throws {
        // What is accepted has it, too.
        SocketOption.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        do {
            try loop.eventLoop.watch(descriptor, for: self, onlyChanges: false)
        } catch {
            stop()
            throw error
        }
    }

    func stop() {
        guard descriptor >= 0 else { return }
        loop.eventLoop.letGo(of: self, watching: descriptor)
        close(descriptor)
        descriptor = -1
    }

    override func loopEnded() { stop() }

    override func ready(_ events: UInt32) {
        for _ in 0..<Self.connectionsMax where descriptor >= 0 {
            if loop.isFull {
                loop.makeRoom()
                if loop.isFull { return wait() }
            }
            var storage = sockaddr_storage()
            let accepted = croost_accept(descriptor, &storage, MemoryLayout<sockaddr_storage>.size)
            if accepted >= 0 {
                take(accepted, SocketAddress(storage))
                continue
            }
            switch errno {
            case EAGAIN: return
            // One that was given up while it waited.
            case ECONNABORTED, EINTR, EPROTO: continue
            default:
                loop.makeRoom()
                return wait()
            }
        }
    }

    private func wait() {
        guard !isWaiting else { return }
        isWaiting = true
        loop.eventLoop.letGo(of: self, watching: descriptor)
        loop.eventLoop.assumeIsolated().scheduleTask(in: DescriptorQueue.pause) { self.resume() }
    }

    private func resume() {
        guard descriptor >= 0 else { return }
        do {
            try loop.eventLoop.watch(descriptor, for: self, onlyChanges: false)
            isWaiting = false
        } catch {
            // As with descriptors: later there may be room.
            loop.eventLoop.assumeIsolated().scheduleTask(in: DescriptorQueue.pause) { self.resume() }
        }
    }
}
