import CRoost
import Glibc
public import Host
public import Model

/// The kernel's clocks.
public struct LiveClock: HostClock {
    public init() {}

    public func now() -> Timestamp {
        let time = Self.read(CLOCK_REALTIME)
        return Timestamp(millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// Time since boot, suspended time included.
    public func monotonic() -> Duration {
        let time = Self.read(CLOCK_BOOTTIME)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }

    public func sleep(for duration: Duration) async throws {
        try await Task.sleep(for: duration, clock: .continuous)
    }

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}

/// The kernel's random numbers.
public struct LiveRandom: RandomSource {
    public init() {}

    public func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            // Cannot fail once the kernel has booted; a weak secret would be worse than a crash.
            precondition(croost_random(buffer.baseAddress, count) == 0, "getrandom failed")
            initialized = count
        }
    }
}
