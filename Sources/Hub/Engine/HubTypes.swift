public import HubStore
public import Model

/// Who asks: an API key, a user with a session, or the program itself.
public struct Principal: Sendable, Equatable {
    /// `key:<name>`, `user:<email>`, `local`; for the audit log. Two keys may have one name.
    public var name: String
    /// Id of the key or user; nil for the program itself.
    public var id: String?
    /// `resource:action` words, or `*:*`.
    public var scopes: Set<String>
    public var brands: BrandFilter
    /// Where the request came from, for the audit log.
    public var address: String
    /// How much it may ask for.
    public var limits: [RequestLimit] = []
    /// Under which name the caller's session is stored; nil for an API key.
    var sessionKey: String?

    /// What no other caller has: names are no ids, since they begin with a word and a colon or are one of our own.
    public var identity: String { id ?? name }

    public init(name: String, id: String? = nil, scopes: Set<String>, brands: BrandFilter, address: String) {
        self.name = name
        self.id = id
        self.scopes = scopes
        self.brands = brands
        self.address = address
    }

    /// The program acting for the person at the machine.
    public static let local = Principal(name: "local", scopes: ["*:*"], brands: .all, address: "local")

    public func may(_ action: String, _ plural: String) -> Bool {
        scopes.contains("*:*") || scopes.contains("\(plural):\(action)") || scopes.contains("\(plural):*")
            || scopes.contains("*:\(action)")
    }
}

/// What a mutation may carry besides its body.
public struct MutationOptions: Sendable, Equatable {
    public var idempotencyKey: String?
    /// Version that the caller saw.
    public var ifMatch: Int64?
    /// Answer what would change, and change nothing.
    public var isPlan: Bool
    /// Who wants to hear when an asynchronous change is done.
    public var callbackURL: String?

    public init(
        idempotencyKey: String? = nil, ifMatch: Int64? = nil, isPlan: Bool = false, callbackURL: String? = nil
    ) {
        self.idempotencyKey = idempotencyKey
        self.ifMatch = ifMatch
        self.isPlan = isPlan
        self.callbackURL = callbackURL
    }
}

/// The answer to a mutation.
public struct MutationAnswer: Sendable, Equatable {
    /// HTTP status by the rules of the catalogue: 200, 201, 202, 204.
    public var code: Int
    public var body: JSONValue
    public init(code: Int, body: JSONValue) {
        self.code = code
        self.body = body
    }
}
