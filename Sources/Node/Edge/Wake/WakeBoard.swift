import NIOCore
import Synchronization

/// Which services requests wait for, and who waits to hear of it.
final class WakeBoard: Sendable {
    static let listenersMax = 64

    private struct State {
        var requested: Set<String> = []
        var serial = 0
        var listeners: [Int: EventLoopPromise<Void>] = [:]
        var nextListener = 0
    }

    private let state = Mutex(State())

    var requested: [String] { state.withLock { $0.requested.sorted() } }
    var serial: Int { state.withLock { $0.serial } }

    /// A request waits for this upstream.
    func request(_ upstreamId: String) {
        let listeners = state.withLock { state -> [EventLoopPromise<Void>] in
            guard state.requested.insert(upstreamId).inserted else { return [] }
            state.serial += 1
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.succeed() }
    }

    /// Forgets the requests for upstreams that are not asleep any more.
    func keep(_ asleep: Set<String>) { state.withLock { $0.requested.formIntersection(asleep) } }

    /// Done when a service was asked for after `serial`, or when the time is over.
    func wait(after serial: Int, atMost time: TimeAmount, on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        let number = state.withLock { state -> Int? in
            guard state.serial <= serial, state.listeners.count < Self.listenersMax else { return nil }
            state.nextListener += 1
            state.listeners[state.nextListener] = promise
            return state.nextListener
        }
        guard let number else {
            promise.succeed()
            return promise.futureResult
        }
        let end = eventLoop.scheduleTask(in: time) {
            if let late = self.state.withLock({ $0.listeners.removeValue(forKey: number) }) { late.succeed() }
        }
        promise.futureResult.whenComplete { _ in end.cancel() }
        return promise.futureResult
    }
}
