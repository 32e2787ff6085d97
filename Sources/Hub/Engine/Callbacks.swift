import AgentProtocol
import Crypto
import Host
import HubStore
import Logging
import Model
import ResourceKit

/// `callback_url`: a signed message when an asynchronous change is done, sent until it is taken.
///
/// What is to be sent is in the store from the transaction of the change on, so that no death of the hub loses it. A
/// message can arrive twice; its id tells.
extension Hub {
    private static let space = "callback"
    private static let attemptsMax: Int64 = 15
    private static let firstPause: Duration = .seconds(2)
    private static let pauseMax: Duration = .seconds(3600)
    /// How long a change may take until nobody waits for it any more.
    private static let waitMax: Duration = .seconds(7 * 86_400)
    private static let sendTimeout: Duration = .seconds(10)
    private static let receiversAtOnce = 32
    private static let sendsAtOnce = 4
    /// How long a message is one hub's to send; longer than sending may take.
    private static let claimSpan: Duration = .seconds(30)

    /// Why a URL cannot be called; nil when it can.
    static func callbackFlaw(_ url: String) -> String? {
        let flaw = "must be an http or https URL without a user, at most 1000 bytes"
        guard url.utf8.count <= 1000, url.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return flaw }
        guard let scheme = ["https://", "http://"].first(where: url.hasPrefix) else { return flaw }
        let authority = url.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.isEmpty, !authority.contains("@"), !authority.hasPrefix(":") else { return flaw }
        // Only what can be told without asking for the name; the sender looks at what it means.
        let isLinkLocal = authority.hasPrefix("169.254.") || authority.lowercased().hasPrefix("[fe80:")
        return isLinkLocal ? "must not be a link-local address" : nil
    }

    /// Who is called: messages to one receiver wait for each other, not for those to others.
    private static func receiver(_ entry: JSONValue) -> String {
        let url = entry["url"]?.stringValue ?? ""
        return url.split(separator: "/", maxSplits: 2).dropFirst().first.map { $0.lowercased() } ?? url
    }

    /// Takes `callback_url` out of a body, where it stands beside the fields of an asynchronous kind.
    static func takeCallback(
        _ body: JSONValue, _ kind: ResourceKind, _ options: inout MutationOptions
    ) throws(Problem) -> JSONValue {
        guard kind.isAsynchronous, case .object(var members) = body, let given = members["callback_url"] else {
            return body
        }
        members["callback_url"] = nil
        if !given.isNull {
            guard let url = given.stringValue else { throw .invalid("callback_url", "must be a text") }
            options.callbackURL = url
        }
        return .object(members)
    }

    func noteCallback(
        _ mutation: Mutation, id: String, _ transaction: any StoreTransaction
    ) throws {
        guard let url = mutation.options.callbackURL, mutation.kind.isAsynchronous else { return }
        let entry: JSONValue = [
            "url": .string(url), "kind": .string(mutation.kind.name), "id": .string(id),
            "action": .string(mutation.action), "attempts": 0,
        ]
        try transaction.putCell(
            Self.space, transaction.random.uuid(), entry, expires: transaction.now.advanced(by: Self.waitMax))
    }

    /// Sends what is due, once a second, until its task is cancelled.
    public func runCallbacks() async {
        while !Task.isCancelled {
            do {
                try await deliverCallbacks()
            } catch {
                logger.warning("callbacks could not be looked at", metadata: ["error": "\(error)"])
            }
            do { try await world.clock.sleep(for: .seconds(1)) } catch { return }
        }
    }

    /// One look: what is done is noted as its message, and each message that is due is sent.
    public func deliverCallbacks() async throws {
        let now = world.clock.now()
        let due = try await store.read { transaction in
            try transaction.cells(Self.space).filter { _, entry in
                let next = entry["next_at"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
                return next.map { now.since($0) >= .zero } ?? true
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            var receivers = Dictionary(grouping: due) { Self.receiver($0.value) }.values.makeIterator()
            for _ in 0..<Self.receiversAtOnce {
                guard let messages = receivers.next() else { break }
                group.addTask { try await self.deliver(messages) }
            }
            while try await group.next() != nil {
                guard let messages = receivers.next() else { continue }
                group.addTask { try await self.deliver(messages) }
            }
        }
    }

    /// To one receiver, a few at once, until it does not take one: a dead one costs one wait, not one for each.
    private func deliver(_ messages: [(key: String, value: JSONValue)]) async throws {
        for start in stride(from: 0, to: messages.count, by: Self.sendsAtOnce) {
            let isTaking = try await withThrowingTaskGroup(of: Bool.self) { group in
                for (key, entry) in messages[start..<min(messages.count, start + Self.sendsAtOnce)] {
                    group.addTask { try await self.deliver(key, entry) }
                }
                return try await group.reduce(true) { $0 && $1 }
            }
            if !isTaking { return }
        }
    }

    /// - Returns: false when it was sent and not taken.
    private func deliver(_ key: String, _ entry: JSONValue) async throws -> Bool {
        guard let entry = try await claimed(key, entry) else { return true }
        guard let body = entry["body"], let url = entry["url"]?.stringValue else { return true }
        if try await send(key, url, body) {
            try await store.write { try $0.removeCell(Self.space, key) }
            return true
        }
        try await postpone(key, entry)
        return false
    }

    /// The entry with its message, which no other hub sends for a while; nil while there is nothing to tell, and when
    /// another hub has it.
    private func claimed(_ key: String, _ seen: JSONValue) async throws -> JSONValue? {
        var entry = seen
        if entry["body"] == nil {
            // The same words at each attempt, whatever happens to the resource meanwhile.
            guard let body = try await message(key, entry) else { return nil }
            entry["body"] = body
        }
        entry["next_at"] = .string(world.clock.now().advanced(by: Self.claimSpan).rfc3339)
        let claimed = entry
        return try await store.write { transaction -> JSONValue? in
            guard try transaction.cell(Self.space, key) == seen else { return nil }
            try transaction.putCell(Self.space, key, claimed, expires: transaction.now.advanced(by: Self.waitMax))
            return claimed
        }
    }

    private func postpone(_ key: String, _ entry: JSONValue) async throws {
        var entry = entry
        let attempts = (entry["attempts"]?.intValue ?? 0) + 1
        guard attempts < Self.attemptsMax else {
            logger.warning("a callback was given up", metadata: ["id": "\(key)", "attempts": "\(attempts)"])
            return try await store.write { try $0.removeCell(Self.space, key) }
        }
        let pause = min(Self.firstPause * Double(1 << min(attempts, 20)), Self.pauseMax)
        entry["attempts"] = .int(attempts)
        entry["next_at"] = .string(world.clock.now().advanced(by: pause * (0.75 + world.random.unit() / 2)).rfc3339)
        let later = entry
        try await store.write { transaction in
            // Gone means that it expired, or that another hub was done with it.
            guard try transaction.cell(Self.space, key) != nil else { return }
            try transaction.putCell(Self.space, key, later, expires: transaction.now.advanced(by: Self.waitMax))
        }
    }

    /// What is to be told; nil while the work is under way.
    private func message(_ key: String, _ entry: JSONValue) async throws -> JSONValue? {
        guard let name = entry["kind"]?.stringValue, let id = entry["id"]?.stringValue, let kind = kind(name) else {
            return nil
        }
        let record = try await store.read { try $0.get(name, id) }
        let status = record?.status ?? .deleted
        guard [.active, .failed, .suspended, .deleted].contains(status) else { return nil }
        return [
            "id": .string(key), "event": .string("\(name).\(entry["action"]?.stringValue ?? "")"),
            "kind": .string(name), "resource_id": .string(id), "status": .string(status.rawValue),
            "status_message": record?.statusMessage.map { .string($0) } ?? .null,
            "resource": record.map { rendered($0, kind) } ?? .null,
            "finished_at": .string(world.clock.now().rfc3339),
        ]
    }

    private func send(_ id: String, _ url: String, _ body: JSONValue) async throws -> Bool {
        let bytes = body.canonicalBytes
        let time = String(world.clock.now().millisecondsSinceEpoch)
        guard let key = try await store.read({ [self] in try signingKey($0) }) else { return false }
        let signature = try key.signature(for: CallbackSignature.message(id: id, timeMs: time, body: bytes))
        do {
            let status = try await world.callbacks.post(
                url,
                headers: [
                    "Content-Type": "application/json", CallbackSignature.idHeader: id,
                    CallbackSignature.timeHeader: time,
                    CallbackSignature.signatureHeader: Base64.encode(Array(signature)),
                ], body: bytes, timeout: Self.sendTimeout)
            return (200..<300).contains(status)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            logger.debug("a callback was not taken", metadata: ["id": "\(id)", "error": "\(error)"])
            return false
        }
    }
}

/// The signature of a callback: Ed25519 by the hub's key, over id, time and the SHA-256 of the body.
public enum CallbackSignature {
    public static let idHeader = "X-Roost-Callback"
    /// Milliseconds since 1970, as text.
    public static let timeHeader = "X-Roost-Time"
    /// Base64.
    public static let signatureHeader = "X-Roost-Signature"

    /// The signed text.
    public static func message(id: String, timeMs: String, body: [UInt8]) -> [UInt8] {
        Array("roost callback v1\n\(id)\n\(timeMs)\n\(sha256Hex(body))".utf8)
    }
}
