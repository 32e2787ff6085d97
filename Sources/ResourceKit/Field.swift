public import Model

/// One field of a resource kind: the single source of its validation, schema, help text, form and redaction.
public struct Field: Sendable {
    /// What values a field takes.
    public indirect enum Kind: Sendable {
        /// One line of text; the check answers why a value is refused.
        case string(check: @Sendable (String) -> String?)
        /// Text of several lines.
        case text(bytesMax: Int)
        case integer(ClosedRange<Int64>)
        case number(ClosedRange<Double>)
        case boolean
        /// A time span: seconds, or text such as `250ms`, `10s`, `5m`.
        case duration(ClosedRange<Duration>)
        /// Bytes, or text such as `256M`.
        case size(ClosedRange<Int64>)
        case choice([String])
        case list(of: Kind, countMax: Int)
        /// Names to values.
        case map(key: @Sendable (String) -> String?, value: Kind, countMax: Int)
        case object([Field])
        /// The value of an environment variable: text, or `{"value": text, "secret": true}`.
        case environmentValue
        /// Any JSON; only for what is reported.
        case json
        /// The id of a resource of this kind.
        case reference(String)
    }

    public var name: String
    public var kind: Kind
    /// One sentence for help texts, forms and the schema.
    public var summary: String
    public var isRequired: Bool
    /// Never shown after it was given; stored encrypted; `[redacted]` in the audit log.
    public var isSecret: Bool
    /// Stored only as a bcrypt hash; such a field is secret as well.
    public var isHashed: Bool
    /// Text, or a list of texts, that is stored only as SHA-256: for long random secrets, which are compared often and
    /// cannot be guessed; such a field is secret as well.
    public var isDigested: Bool
    /// Shown to readers, and left out of the audit log: what people put tokens into.
    public var isConfidential: Bool
    /// Cannot be changed after creation.
    public var isImmutable: Bool
    /// Taken and never shown: another way to say what something else shows.
    public var isInputOnly: Bool
    /// Whether what it refers to cannot be deleted as long as the resource is there.
    public var isBinding: Bool
    /// Whether only callers of all brands may set it, on resources that those of one brand may change.
    public var isForPlatform: Bool
    /// Stored when the caller names none.
    public var defaultValue: JSONValue?
    /// A value for help texts and the schema.
    public var example: JSONValue?

    public init(
        _ name: String, _ kind: Kind, _ summary: String, required: Bool = false, secret: Bool = false,
        hashed: Bool = false, digested: Bool = false, confidential: Bool = false, immutable: Bool = false,
        binding: Bool = false, inputOnly: Bool = false, forPlatform: Bool = false,
        default defaultValue: JSONValue? = nil,
        example: JSONValue? = nil
    ) {
        self.name = name
        self.kind = kind
        self.summary = summary
        self.isRequired = required
        self.isSecret = secret || hashed || digested
        self.isHashed = hashed
        self.isDigested = digested
        self.isConfidential = confidential
        self.isImmutable = immutable
        self.isBinding = binding
        self.isInputOnly = inputOnly
        self.isForPlatform = forPlatform
        self.defaultValue = defaultValue
        self.example = example
    }
}

extension Field {
    /// What every kind that can be created takes besides its own fields.
    static let subscription = Field(
        "subscription_id", .line, "The subscription that it is sold with; only kept, for you to find it again.")
}

extension Field.Kind {
    /// A line of text up to 1024 bytes.
    public static var line: Field.Kind { .string(check: { Names.lineFlaw($0, bytesMax: 1024) }) }

    /// A slug: `a–z0–9-`.
    public static var slug: Field.Kind { .string(check: Names.slugFlaw) }
}
