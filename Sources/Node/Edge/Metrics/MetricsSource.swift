import NIOCore
import NIOPosix
import Synchronization

/// Where requests get the text for Prometheus from. All loops are asked for it, one after the other, which must not be
/// done on one of them; who asks while it is being made gets the same.
final class MetricsSource: Sendable {
    private struct State {
        var render: (@Sendable () -> String)?
        var waiting: [EventLoopPromise<String>] = []
    }

    private let state = Mutex(State())
    /// Of its own, so that a slow disk, which files are waited for on others, does not hide what happens.
    private let threads = NIOThreadPool(numberOfThreads: 1)
    private let isStarted = Atomic<Bool>(false)

    /// - Parameter render: blocks until every loop told its counts.
    func use(_ render: @escaping @Sendable () -> String) { state.withLock { $0.render = render } }

    /// Fails when the edge is starting or ending.
    func text(on eventLoop: any EventLoop) -> EventLoopFuture<String> {
        let promise = eventLoop.makePromise(of: String.self)
        let render = state.withLock { state -> (@Sendable () -> String)? in
            state.waiting.append(promise)
            return state.waiting.count == 1 ? state.render ?? { "" } : nil
        }
        if let render {
            if !isStarted.exchange(true, ordering: .acquiringAndReleasing) { threads.start() }
            threads.submit { status in
                let text = if case .active = status { render() } else { "" }
                let waiting = self.state.withLock { state in
                    defer { state.waiting = [] }
                    return state.waiting
                }
                for promise in waiting {
                    if text.isEmpty { promise.fail(ChannelError.ioOnClosedChannel) } else { promise.succeed(text) }
                }
            }
        }
        return promise.futureResult
    }

    /// Ends the thread; who waits is turned away.
    func stop() async {
        state.withLock { $0.render = nil }
        // It fails only when it was stopped before.
        try? await threads.shutdownGracefully()
    }
}
