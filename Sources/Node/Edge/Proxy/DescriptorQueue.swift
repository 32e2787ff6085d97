import Glibc
import NIOCore

/// Requests of one event loop that wait for a descriptor, in the order in which they came: those that were let in are
/// served first, and nobody new is let in meanwhile.
final class DescriptorQueue {
    /// Between one try and the next.
    static let pause = TimeAmount.milliseconds(50)

    private var waiting: [ClientConnection] = []
    private var isTrying = false
    private var hasFailed = false

    var isEmpty: Bool { waiting.isEmpty }

    /// Whether the machine or this process, not the other side, is what kept a connection from being made.
    static func isReason(of error: any Error) -> Bool {
        guard let error = error as? IOError else { return false }
        return [EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC].contains(error.errnoCode)
    }

    func add(_ connection: ClientConnection, _ loop: EdgeLoop) {
        hasFailed = true
        if isTrying {
            waiting.insert(connection, at: 0)
        } else {
            waiting.append(connection)
            if waiting.count == 1 { tryAgainLater(loop) }
        }
    }

    private func tryAgainLater(_ loop: EdgeLoop) {
        loop.makeRoom()
        loop.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { self.tryAgain(loop) }
    }

    private func tryAgain(_ loop: EdgeLoop) {
        let now = loop.takeTime()
        // Answering one may bring its next request here, before the others.
        isTrying = true
        let candidates = waiting
        waiting = []
        waiting += candidates.filter { $0.waitsForDescriptor(now: now) }
        hasFailed = false
        while !hasFailed, !waiting.isEmpty { waiting.removeFirst().connectAgain() }
        isTrying = false
        if !waiting.isEmpty { tryAgainLater(loop) }
    }
}
