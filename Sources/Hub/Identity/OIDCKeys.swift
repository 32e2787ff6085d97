import AgentProtocol
import Crypto
import Host
import HubStore
public import Model
import ResourceKit

/// Keys of ID tokens: made when first needed, replaced every 30 days, and published until the last token of theirs has
/// ended.
extension Hub {
    private static let keySpace = "oidc_key"
    private static let keyAgeMax: Duration = .seconds(30 * 86_400)
    /// How long the clocks of relying parties may be behind.
    private static let keyMargin: Duration = .seconds(3600)

    /// The public keys (RFC 7517 section 5), newest first.
    /// - Throws: `storage_failed`.
    public func oidcPublicKeys() async throws -> JSONValue {
        if try await store.read({ try $0.cells(Self.keySpace) }).isEmpty {
            _ = try await write { [self] in try oidcSigningKey($0) }
        }
        let keys = try await store.read { [self] in try oidcKeys($0) }
        return ["keys": .array(keys.map { $0.key.publicJSON })]
    }

    /// Signs with a new key from now on.
    /// - Throws: `forbidden`, `storage_failed`.
    public func rotateOIDCKey(options: MutationOptions, as principal: Principal) async throws -> MutationAnswer {
        let change = UnlistedChange(
            subject: "oidc-key", action: "rotate", change: "create", changed: "oidc-key", options: options,
            principal: principal
        ) {
            try principal.require("write", "oidc-clients")
            try principal.requirePlatform()
        }
        return try await make(change, code: 200) { [self] transaction in
            let id = try addOIDCKey(transaction).id
            return (id, ["kid": .string(id)])
        }
    }

    /// The key that signs now, made or replaced when it is time.
    func oidcSigningKey(_ transaction: any StoreTransaction) throws -> TokenSigningKey {
        if let newest = try oidcKeys(transaction).first,
            transaction.now.since(newest.madeAt) < Self.keyAgeMax
        {
            return newest.key
        }
        return try addOIDCKey(transaction)
    }

    private func addOIDCKey(_ transaction: any StoreTransaction) throws -> TokenSigningKey {
        let lifetime = Self.oidcTokenLifetime + Self.keyMargin
        // Those before sign nothing any more.
        for (id, cell) in try transaction.cells(Self.keySpace) where cell["is_replaced"] != true {
            var cell = cell
            cell["is_replaced"] = true
            try transaction.putCell(Self.keySpace, id, cell, expires: transaction.now.advanced(by: lifetime))
        }
        let key = TokenSigningKey(try P256.Signing.PrivateKey(rawRepresentation: world.random.bytes(32)))
        let cell: JSONValue = [
            "private": .string(try world.secrets.seal(Base64.encode(Array(key.key.rawRepresentation)))),
            "made_ms": .int(transaction.now.millisecondsSinceEpoch),
        ]
        try transaction.putCell(Self.keySpace, key.id, cell, expires: nil)
        return key
    }

    private func oidcKeys(_ transaction: any StoreTransaction) throws -> [(key: TokenSigningKey, madeAt: Timestamp)] {
        try transaction.cells(Self.keySpace).compactMap { _, cell -> (TokenSigningKey, Timestamp, Bool)? in
            guard let sealed = cell["private"]?.stringValue, let made = cell["made_ms"]?.intValue,
                let raw = Base64.decode(try world.secrets.open(sealed))
            else { throw Problem(.storage, "A key of the OpenID provider cannot be read.") }
            let key = TokenSigningKey(try P256.Signing.PrivateKey(rawRepresentation: raw))
            return (key, Timestamp(millisecondsSinceEpoch: made), cell["is_replaced"] == true)
        }
        .sorted { ($0.2 ? 0 : 1, $0.1.millisecondsSinceEpoch) > ($1.2 ? 0 : 1, $1.1.millisecondsSinceEpoch) }
        .map { ($0.0, $0.1) }
    }
}
