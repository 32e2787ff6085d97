import CRoost
import Crypto
import NIOCore
import NIOPosix
import Synchronization

/// Checks passwords against bcrypt hashes on threads of its own, and remembers those that were right, so that a
/// browser's hundred requests cost one hash.
final class CredentialVerifier: Sendable {
    static let rememberedMax = 10_000
    /// Checks that may wait; more are turned away, so that guessing cannot take the machine.
    static let waitingMax = 64
    static let rememberedFor: UInt64 = 3600 * 1_000_000_000
    /// bcrypt takes no more of a phrase.
    static let phraseBytesMax = 72

    enum Verdict: Sendable {
        case right, wrong
        /// Too many wait already.
        case busy
    }

    private struct State {
        /// Salted digest of what was right → until when that is believed.
        var right: [[UInt8]: UInt64] = [:]
        var waiting: [[UInt8]: [EventLoopPromise<Verdict>]] = [:]
    }

    private let salt: [UInt8]
    private let state = Mutex(State())
    private let threads = NIOThreadPool(numberOfThreads: 2)
    private let isStarted = Atomic<Bool>(false)
    private let checks = Atomic<Int>(0)

    init() {
        var generator = SystemRandomNumberGenerator()
        salt = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// Hashes computed since start.
    var checkCount: Int { checks.load(ordering: .relaxed) }

    /// The digest that a phrase is remembered by. Nothing is learned from it without the salt of this process.
    func key(name: [UInt8], phrase: [UInt8], hash: String) -> [UInt8] {
        var hasher = SHA256()
        hasher.update(data: salt)
        hasher.update(data: Array(hash.utf8))
        hasher.update(data: [0])
        hasher.update(data: name)
        hasher.update(data: [0])
        hasher.update(data: phrase)
        return Array(hasher.finalize())
    }

    /// Whether it was found right not long ago.
    func isKnown(_ key: [UInt8], now: UInt64) -> Bool {
        state.withLock { ($0.right[key] ?? 0) > now }
    }

    /// Checks a phrase.
    /// - Parameter isUser: whether the name exists. One that does not takes as long, with somebody else's hash.
    func verify(
        key: [UInt8], phrase: [UInt8], hash: String, isUser: Bool, now: UInt64, on eventLoop: any EventLoop
    ) -> EventLoopFuture<Verdict> {
        let promise = eventLoop.makePromise(of: Verdict.self)
        guard phrase.count <= Self.phraseBytesMax, !phrase.contains(0) else {
            promise.succeed(.wrong)
            return promise.futureResult
        }
        let begins = state.withLock { state -> Bool? in
            if state.waiting[key] != nil {
                state.waiting[key]!.append(promise)
                return false
            }
            guard state.waiting.count < Self.waitingMax else { return nil }
            state.waiting[key] = [promise]
            return true
        }
        guard let begins else {
            promise.succeed(.busy)
            return promise.futureResult
        }
        if begins { begin(key: key, phrase: phrase, hash: hash, isUser: isUser, now: now) }
        return promise.futureResult
    }

    private func begin(key: [UInt8], phrase: [UInt8], hash: String, isUser: Bool, now: UInt64) {
        if !isStarted.exchange(true, ordering: .acquiringAndReleasing) { threads.start() }
        threads.submit { status in
            guard case .active = status else { return self.conclude(key, .busy, until: 0) }
            self.checks.add(1, ordering: .relaxed)
            let isRight = Self.matches(phrase, hash) && isUser
            self.conclude(key, isRight ? .right : .wrong, until: now &+ Self.rememberedFor)
        }
    }

    private func conclude(_ key: [UInt8], _ verdict: Verdict, until: UInt64) {
        let waiting = state.withLock { state in
            if verdict == .right {
                // Forgetting all is rare, bounded, and costs each user one hash.
                if state.right.count >= Self.rememberedMax { state.right = [:] }
                state.right[key] = until
            }
            return state.waiting.removeValue(forKey: key) ?? []
        }
        for promise in waiting { promise.succeed(verdict) }
    }

    private static func matches(_ phrase: [UInt8], _ hash: String) -> Bool {
        var out = [CChar](repeating: 0, count: 128)
        let terminated = phrase.map { CChar(bitPattern: $0) } + [0]
        guard croost_bcrypt(terminated, hash, &out, out.count) == 0 else { return false }
        return isEqual(out.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, Array(hash.utf8))
    }

    /// Takes the same time wherever the difference is.
    static func isEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// Ends the threads; what waits is turned away.
    func stop() async {
        // It fails only when it was stopped before.
        try? await threads.shutdownGracefully()
    }
}
