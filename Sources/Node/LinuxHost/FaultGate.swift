import Glibc
public import Host
import Synchronization

/// Cuts the power of this very process at one effect, for crash tests on real machines:
/// `ROOST_FAULT=unit.start:2:before` sends SIGKILL to itself right before the second `unit.start`.
public final class FaultGate: EffectGate {
    private let label: String
    private let nth: Int
    private let isBefore: Bool
    private let seen = Mutex((before: 0, after: 0))

    /// The gate that the environment asks for, or the open one.
    public static func fromEnvironment() -> any EffectGate {
        getenv("ROOST_FAULT").flatMap { FaultGate(String(cString: $0)) } ?? OpenGate()
    }

    /// - Parameter text: `label:nth:before` or `label:nth:after`, counting from 1; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 3, let nth = Int(parts[1]), nth > 0, parts[2] == "before" || parts[2] == "after" else {
            return nil
        }
        label = String(parts[0])
        self.nth = nth
        isBefore = parts[2] == "before"
    }

    public func before(_ label: EffectLabel) async throws {
        guard label.text == self.label else { return }
        let count = seen.withLock { seen in
            seen.before += 1
            return seen.before
        }
        if isBefore, count == nth { Self.cut() }
    }

    public func after(_ label: EffectLabel) async throws {
        guard label.text == self.label else { return }
        let count = seen.withLock { seen in
            seen.after += 1
            return seen.after
        }
        if !isBefore, count == nth { Self.cut() }
    }

    private static func cut() {
        kill(getpid(), SIGKILL)
        // SIGKILL needs a moment to arrive; nothing may happen in it.
        while true { pause() }
    }
}
