import NIOCore

/// Something that is to be done at a time.
///
/// `@unchecked Sendable`: used on its loop only.
final class LoopTimer: @unchecked Sendable {
    /// Nanoseconds of the monotonic clock.
    let deadline: UInt64
    /// Nil once it is done, given up or cancelled, so that who keeps the timer does not keep what the task needs.
    private var task: (() -> Void)?
    private var abandoned: (() -> Void)?
    /// Its place in the heap; -1 when it is not in it.
    fileprivate var index = -1
    /// Of equal deadlines the first to be set is the first to be done.
    fileprivate var serial: UInt64 = 0

    /// - Parameter abandoned: called in place of `task` when the loop ends before.
    init(deadline: UInt64, abandoned: @escaping () -> Void = {}, task: @escaping () -> Void) {
        self.deadline = deadline
        self.abandoned = abandoned
        self.task = task
    }

    func run() {
        let task = task
        cancel()
        task?()
    }

    fileprivate func abandon() {
        let abandoned = abandoned
        cancel()
        abandoned?()
    }

    fileprivate func cancel() {
        task = nil
        abandoned = nil
    }
}

/// The timers of a loop, the next one on top. A binary heap in which each timer knows its place, so that those which
/// are cancelled do not stay until their time: questions that are nearly always answered set one each.
struct TimerHeap {
    private var timers: [LoopTimer] = []
    private var serial: UInt64 = 0

    mutating func insert(_ timer: LoopTimer) {
        serial &+= 1
        timer.serial = serial
        timers.append(timer)
        place(timer, timers.count - 1)
        rise(timers.count - 1)
    }

    mutating func cancel(_ timer: LoopTimer) {
        timer.cancel()
        remove(timer)
    }

    private mutating func remove(_ timer: LoopTimer) {
        let index = timer.index
        guard index >= 0 else { return }
        timer.index = -1
        let last = timers.removeLast()
        guard last !== timer else { return }
        place(last, index)
        rise(index)
        sink(last.index)
    }

    /// The loop ends: nothing of it will be done.
    mutating func abandonAll() {
        let former = timers
        timers = []
        for timer in former { timer.index = -1 }
        for timer in former { timer.abandon() }
    }

    /// How long epoll may wait: for ever, or until the next timer is due, rounded up.
    func waitMilliseconds() -> Int32 {
        guard let next = timers.first else { return -1 }
        let now = NIODeadline.now().uptimeNanoseconds
        guard next.deadline > now else { return 0 }
        return Int32(clamping: (next.deadline - now) / 1_000_000 + 1)
    }

    /// What is due by now, taken out.
    mutating func takeDue() -> [LoopTimer] {
        guard !timers.isEmpty else { return [] }
        let now = NIODeadline.now().uptimeNanoseconds
        var due: [LoopTimer] = []
        while let next = timers.first, next.deadline <= now {
            remove(next)
            due.append(next)
        }
        return due
    }

    private static func isBefore(_ left: LoopTimer, _ right: LoopTimer) -> Bool {
        (left.deadline, left.serial) < (right.deadline, right.serial)
    }

    private mutating func place(_ timer: LoopTimer, _ index: Int) {
        timers[index] = timer
        timer.index = index
    }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard Self.isBefore(timers[index], timers[parent]) else { return }
            exchange(index, parent)
            index = parent
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < timers.count {
                if Self.isBefore(timers[child], timers[least]) { least = child }
            }
            guard least != index else { return }
            exchange(index, least)
            index = least
        }
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        let timer = timers[left]
        place(timers[right], left)
        place(timer, right)
    }
}
