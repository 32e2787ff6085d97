/// A binary heap of timers: the earliest first, and of two at the same time the one that was set first.
struct TimerQueue {
    struct Entry: Comparable {
        var at: Duration
        var number: UInt64

        static func < (left: Entry, right: Entry) -> Bool { (left.at, left.number) < (right.at, right.number) }
    }

    private var heap: [Entry] = []

    mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> Entry? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = 2 * parent + 1
            if least + 1 < heap.count, heap[least + 1] < heap[least] { least += 1 }
            guard least < heap.count, heap[least] < heap[parent] else { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
