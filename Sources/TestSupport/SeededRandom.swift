public import Host
import Synchronization

/// Pseudo-random numbers from a seed: xoshiro256** by Blackman and Vigna, seeded by splitmix64.
public final class SeededRandom: RandomSource, Sendable {
    private struct State {
        var words: (UInt64, UInt64, UInt64, UInt64)
    }

    private let state: Mutex<State>

    public init(_ seed: UInt64) {
        var mix = seed
        func next() -> UInt64 {
            mix &+= 0x9E37_79B9_7F4A_7C15
            var z = mix
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            return z ^ z >> 31
        }
        state = Mutex(State(words: (next(), next(), next(), next())))
    }

    /// The next 64 bits.
    public func word() -> UInt64 {
        state.withLock { state in
            let result = Self.rotate(state.words.1 &* 5, 7) &* 9
            let shifted = state.words.1 << 17
            state.words.2 ^= state.words.0
            state.words.3 ^= state.words.1
            state.words.1 ^= state.words.2
            state.words.0 ^= state.words.3
            state.words.2 ^= shifted
            state.words.3 = Self.rotate(state.words.3, 45)
            return result
        }
    }

    private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }

    public func bytes(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(count + 7)
        while out.count < count {
            let value = word()
            for shift in stride(from: 0, to: 64, by: 8) {
                out.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
            }
        }
        return Array(out.prefix(count))
    }

    /// A number in `0..<bound`.
    public func below(_ bound: Int) -> Int { Int(word() % UInt64(bound)) }

    /// True with this probability.
    public func chance(_ probability: Double) -> Bool { unit() < probability }

    /// An independent source, for a part of its own.
    public func fork() -> SeededRandom { SeededRandom(word()) }
}
