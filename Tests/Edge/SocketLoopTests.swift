import Glibc
import NIOCore
import Synchronization
import Testing

@testable import Edge

struct SocketLoopTests {
    static func with(_ body: (SocketLoop) async throws -> Void) async throws {
        let loop = try SocketLoop(name: "test")
        do { try await body(loop) } catch {
            await loop.stop()
            throw error
        }
        await loop.stop()
    }

    @Test func timersRunInOrderAndCancelledOnesDoNot() {
        var heap = TimerHeap()
        var ran: [Int] = []
        var random = SystemRandomNumberGenerator()
        var timers: [LoopTimer] = []
        var wanted: [(deadline: UInt64, number: Int)] = []
        for number in 0..<500 {
            let deadline = UInt64.random(in: 1...50, using: &random)
            let timer = LoopTimer(deadline: deadline) { ran.append(number) }
            heap.insert(timer)
            timers.append(timer)
            wanted.append((deadline, number))
        }
        for number in stride(from: 0, to: 500, by: 3) {
            heap.cancel(timers[number])
            heap.cancel(timers[number])
        }
        wanted.removeAll { $0.number % 3 == 0 }
        wanted.sort { ($0.deadline, $0.number) < ($1.deadline, $1.number) }
        #expect(heap.waitMilliseconds() == 0)
        for timer in heap.takeDue() { timer.run() }
        #expect(ran == wanted.map(\.number))
        #expect(heap.waitMilliseconds() == -1)
    }

    @Test func aTimerThatAnotherCancelsInTheSameTurnDoesNotRun() {
        var heap = TimerHeap()
        var ran: [Int] = []
        let second = LoopTimer(deadline: 2) { ran.append(2) }
        heap.insert(second)
        heap.insert(LoopTimer(deadline: 1) { ran.append(1) })
        let due = heap.takeDue()
        due[0].run()
        heap.cancel(second)
        due[1].run()
        #expect(ran == [1])
    }

    @Test func whoKeepsATimerDoesNotKeepWhatItNeeds() {
        final class Thing: Sendable {}
        var heap = TimerHeap()
        for isCancelled in [true, false] {
            var thing: Thing? = Thing()
            weak let former = thing
            let timer = LoopTimer(deadline: 1) { [thing] in _ = thing }
            thing = nil
            #expect(former != nil)
            heap.insert(timer)
            if isCancelled { heap.cancel(timer) } else { for due in heap.takeDue() { due.run() } }
            #expect(former == nil)
            withExtendedLifetime(timer) {}
        }
    }

    @Test func whatIsPlannedForLaterFailsWhenTheLoopEnds() async throws {
        let loop = try SocketLoop(name: "test")
        let errors = Notes<String>()
        let late = loop.scheduleTask(in: .hours(1)) { 1 }
        late.futureResult.whenFailure { errors.add("\($0)") }
        await loop.stop()
        #expect(errors.all == ["\(EventLoopError.shutdown)"])
    }

    @Test func tasksOfOtherThreadsAreDoneInTheirOrder() async throws {
        try await Self.with { loop in
            let done = Notes<Int>()
            await withTaskGroup(of: Void.self) { group in
                for thread in 0..<4 {
                    group.addTask {
                        for number in 0..<1_000 { loop.execute { done.add(thread * 1_000 + number) } }
                    }
                }
            }
            let count = try await loop.submit { done.all.count }.get()
            #expect(count == 4_000)
            for thread in 0..<4 {
                let own = done.all.filter { $0 / 1_000 == thread }
                #expect(own == own.sorted())
            }
            #expect(!loop.inEventLoop)
            let isInside = try await loop.submit { loop.inEventLoop }.get()
            #expect(isInside)
        }
    }

    @Test func scheduledTasksAreDoneInTimeAndCanBeCancelled() async throws {
        try await Self.with { loop in
            let start = NIODeadline.now()
            let late = loop.scheduleTask(in: .hours(1)) { 1 }
            let soon = loop.scheduleTask(in: .milliseconds(30)) { NIODeadline.now() }
            let end = try await soon.futureResult.get()
            #expect(end - start >= .milliseconds(30))
            late.cancel()
            await #expect(throws: EventLoopError.self) { _ = try await late.futureResult.get() }
        }
    }

    @Test func whatWasAskedBeforeTheEndIsDone() async throws {
        let loop = try SocketLoop(name: "test")
        let stream = RecordingStream(loop)
        let ends = try SocketPair()
        try await loop.submit { try stream.open(ends.takeFirst()) }.get()
        let done = Notes<Int>()
        for number in 0..<100 { loop.execute { done.add(number) } }
        await loop.stop()
        #expect(done.all == Array(0..<100))
        #expect(stream.events == ["attached", "closed"])
    }

    /// More sockets than one look brings, all ready at once, each told of once.
    @Test func everyReadySocketIsServed() async throws {
        try await Self.with { loop in
            var pairs: [SocketPair] = []
            var streams: [RecordingStream] = []
            for _ in 0..<700 {
                let pair = try SocketPair()
                let stream = RecordingStream(loop)
                try await loop.submit { try stream.open(pair.takeFirst()) }.get()
                pairs.append(pair)
                streams.append(stream)
            }
            for round in 1...3 {
                for pair in pairs { pair.send([UInt8](repeating: 7, count: 10)) }
                let all = streams
                let isServed = try await eventually {
                    try await loop.submit { all.allSatisfy { $0.bytes.count == 10 * round } }.get()
                }
                #expect(isServed)
            }
        }
    }
}

/// What happened, written down from any thread.
final class Notes<Note: Sendable>: Sendable {
    private let notes = Mutex<[Note]>([])

    var all: [Note] { notes.withLock { $0 } }

    func add(_ note: Note) { notes.withLock { $0.append(note) } }
}

/// Writes down what happens to it.
final class RecordingStream: ByteStream, @unchecked Sendable {
    private let state = Mutex((events: [String](), bytes: [UInt8](), wants: true))
    private let whenWritable: (@Sendable (RecordingStream) -> Void)?

    override var wantsBytesOfBroken: Bool { wantsOfBroken }
    private let wantsOfBroken: Bool
    private let wantsOnce: Bool

    /// - Parameter wantsOnce: what comes is not wanted any more once something has come.
    init(
        _ loop: SocketLoop, wantsOfBroken: Bool = true, wantsOnce: Bool = false,
        whenWritable: (@Sendable (RecordingStream) -> Void)? = nil
    ) {
        self.wantsOfBroken = wantsOfBroken
        self.wantsOnce = wantsOnce
        self.whenWritable = whenWritable
        super.init(loop)
    }

    var events: [String] { state.withLock { $0.events } }
    var bytes: [UInt8] { state.withLock { $0.bytes } }

    override var wantsBytes: Bool { state.withLock { $0.wants } }

    func want(_ wants: Bool) {
        state.withLock { $0.wants = wants }
        resumeRead()
    }

    private func note(_ event: String) { state.withLock { $0.events.append(event) } }

    override func attached() { note("attached") }
    override func received(_ buffer: ByteBuffer) {
        state.withLock {
            $0.bytes += buffer.readableBytesView
            if wantsOnce { $0.wants = false }
        }
    }

    override func inputEnded() { note("input ended") }
    override func outputEnded() { note("output ended") }
    override func writabilityChanged() {
        note(isWritable ? "writable" : "full")
        if isWritable { whenWritable?(self) }
    }
    override func failed(_ error: any Error) { note("failed") }
    override func closed() { note("closed") }
}

/// Two sockets that are connected to each other; the first is given away.
final class SocketPair: Sendable {
    private let first: Mutex<Int32>
    let second: Int32

    /// - Parameter bytesMax: what a socket of the pair holds, about.
    init(bytesMax: Int32? = nil) throws {
        var pair: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, type, 0, &pair) == 0 else { throw SocketFailure("socketpair") }
        if var size = bytesMax {
            for one in pair { setsockopt(one, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size)) }
        }
        first = Mutex(pair[0])
        second = pair[1]
    }

    deinit {
        close(second)
        let left = first.withLock { $0 }
        if left >= 0 { close(left) }
    }

    func takeFirst() -> Int32 {
        first.withLock { descriptor in
            defer { descriptor = -1 }
            return descriptor
        }
    }

    func send(_ bytes: [UInt8]) {
        let sent = bytes.withUnsafeBytes { Glibc.send(second, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        precondition(sent == bytes.count)
    }

    func endOutput() { shutdown(second, Int32(SHUT_WR)) }

    /// What is there; nil at the end.
    func receive(_ max: Int = 1_000_000) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: max)
        let count = recv(second, &bytes, max, Int32(MSG_DONTWAIT))
        if count == 0 { return nil }
        return Array(bytes.prefix(Swift.max(0, count)))
    }
}
