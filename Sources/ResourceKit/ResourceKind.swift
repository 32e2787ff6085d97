public import Model

/// A resource kind, declared once: endpoints, schema, scopes, CLI verbs, pages, search, audit and retry derive from it.
public struct ResourceKind: Sendable {
    /// How ids are made.
    public enum Identity: Sendable {
        case uuid
        /// The caller may give it in this field; else it is the resource's name, where that is a slug that is free.
        case slug(field: String)
        /// `{prefix}{10 random a–z0–9}`.
        case prefixed(String)
    }

    /// The kind above in the tree: `GET /{parent plural}/{id}/{plural}`.
    public struct Parent: Sendable {
        public var kind: String
        /// The field of the resource that holds the parent's id, e.g. `stack_id`.
        public var field: String
        /// The word below the parent, where it is another than the plural: `/databases/{id}/users`.
        public var segment: String?
        /// Whether a resource may be created without one above it.
        public var isOptional: Bool
        /// Whether a change may name another parent.
        public var isMovable: Bool
        /// The claim of the parent that is meant when a creation names none; nil when one must be named.
        public var standardClaim: String?
        public init(
            kind: String, field: String, segment: String? = nil, isOptional: Bool = false, isMovable: Bool = false,
            standardClaim: String? = nil
        ) {
            self.kind = kind
            self.field = field
            self.segment = segment
            self.isOptional = isOptional
            self.isMovable = isMovable
            self.standardClaim = standardClaim
        }
    }

    /// What can be done with a kind, besides its actions.
    public enum Verb: String, Sendable, CaseIterable { case list, create, read, update, delete }

    /// Singular, `kebab-case`: `service`, `install-token`.
    public var name: String
    /// Path segment and scope word: `services`.
    public var plural: String
    /// What it is, in one sentence.
    public var summary: String
    public var identity: Identity
    public var parent: Parent?
    /// Whether it has work on a node: 202 and `pending → provisioning → active`.
    public var isAsynchronous: Bool
    /// Whether only keys of brand `*` may touch it.
    public var isPlatformOnly: Bool
    public var verbs: Set<Verb>
    /// What the caller gives.
    public var fields: [Field]
    /// What the hub adds: computed or observed, read-only.
    public var reported: [Field]
    /// Names that are unique: the claim of a resource, e.g. `service/{stack}/{name}`. Released on deletion.
    public var claims: @Sendable (ResourceRecord) -> [String]
    /// Fields that a conflict names where the last word of the claim is the value of none, such as a hash.
    public var claimedFields: [String]
    public var actions: [ResourceAction]
    /// Fields shown in tables, besides id and status.
    public var columns: [String]
    /// Fields that search looks into, besides the id.
    public var searched: [String]
    /// Path below `/api/v1` of a kind of which there is exactly one, such as `platform/config`; its id is the kind's
    /// name.
    public var singletonPath: String?
    /// Fields that name a resource below its parent: `DELETE` on the collection takes them instead of an id.
    public var naturalKey: [String]
    /// Lists of other resources: `GET` and `PUT /{plural}/{id}/{link}`.
    public var links: [ResourceLink]
    /// What is computed when it is asked for: `GET /{plural}/{id}/{view}`.
    public var views: [ResourceView]
    /// Checks that need more than one field. Pure.
    public var validate: @Sendable (_ spec: [String: JSONValue], _ flaws: inout FieldFlaws) -> Void
    /// What its behaviour may start.
    public var workflows: [KindWorkflow]
    public var behaviour: any KindBehaviour

    public init(
        name: String, plural: String, summary: String, identity: Identity = .uuid, parent: Parent? = nil,
        isAsynchronous: Bool, isPlatformOnly: Bool = false, verbs: Set<Verb> = Set(Verb.allCases), fields: [Field],
        reported: [Field] = [], claims: @escaping @Sendable (ResourceRecord) -> [String] = { _ in [] },
        claimedFields: [String] = [], actions: [ResourceAction] = [], columns: [String] = [], searched: [String] = [],
        singletonPath: String? = nil, naturalKey: [String] = [], links: [ResourceLink] = [],
        views: [ResourceView] = [],
        validate: @escaping @Sendable (_ spec: [String: JSONValue], _ flaws: inout FieldFlaws) -> Void = { _, _ in },
        workflows: [KindWorkflow] = [], behaviour: any KindBehaviour = PlainBehaviour()
    ) {
        self.name = name
        self.plural = plural
        self.summary = summary
        self.identity = identity
        self.parent = parent
        self.isAsynchronous = isAsynchronous
        self.isPlatformOnly = isPlatformOnly
        self.verbs = verbs
        let isLabelled = verbs.contains(.create) && !fields.contains { $0.name == Field.subscription.name }
        self.fields = isLabelled ? fields + [.subscription] : fields
        self.reported = reported
        self.claims = claims
        self.claimedFields = claimedFields
        self.actions = actions
        self.columns = columns
        self.searched = searched
        self.singletonPath = singletonPath
        self.naturalKey = naturalKey
        self.links = links
        self.views = views
        self.validate = validate
        self.workflows = workflows
        self.behaviour = behaviour
    }
}

extension ResourceKind {
    /// The word of its collection below a parent.
    public var segment: String { parent?.segment ?? plural }
    /// The member of a parent's creation that holds resources of this kind: `ssh_keys`.
    public var nestedName: String { segment.split(separator: "-").joined(separator: "_") }
}

/// A list of other resources that belongs to one, kept by the hub in a reported field: which clusters a brand may use.
public struct ResourceLink: Sendable {
    /// Path segment: `clusters`.
    public var name: String
    /// Kind of the other resources.
    public var kind: String
    /// The reported field that holds their ids, and the member of the body: `cluster_ids`.
    public var field: String
    public var summary: String
    public init(_ name: String, to kind: String, field: String, _ summary: String) {
        self.name = name
        self.kind = kind
        self.field = field
        self.summary = summary
    }
}

/// `GET /{plural}/{id}/{name}`.
public struct ResourceView: Sendable {
    public var name: String
    public var summary: String
    public init(_ name: String, _ summary: String) {
        self.name = name
        self.summary = summary
    }
}

/// `POST /{plural}/{id}/{name}`.
public struct ResourceAction: Sendable {
    /// Who does it.
    public enum Effect: Sendable {
        /// The kind's behaviour.
        case behaviour
        /// The hub: whatever of the tenant failed is tried again.
        case retryFailedOfTenant
    }

    public var name: String
    public var summary: String
    public var fields: [Field]
    /// Whether a person must confirm it in the CLI and on pages.
    public var isDestructive: Bool
    /// Kind of the resource that the answer holds; nil for the resource itself.
    public var answers: String?
    public var effect: Effect

    public init(
        _ name: String, _ summary: String, fields: [Field] = [], isDestructive: Bool = false, answers: String? = nil,
        effect: Effect = .behaviour
    ) {
        self.effect = effect
        self.name = name
        self.summary = summary
        self.fields = fields
        self.isDestructive = isDestructive
        self.answers = answers
    }
}

/// The life of a resource.
public enum ResourceStatus: String, Sendable, CaseIterable {
    case pending, provisioning, active, failed, deleting, deleted, suspended
}

/// A stored resource.
public struct ResourceRecord: Sendable, Equatable {
    public var kind: String
    public var id: String
    public var parentId: String?
    public var brandId: String?
    public var tenantId: String?
    public var status: ResourceStatus
    public var statusMessage: String?
    /// What the caller gave, defaults filled in. Secrets are stored sealed, see ``SecretBox``.
    public var spec: [String: JSONValue]
    /// What the hub computed or observed.
    public var state: [String: JSONValue]
    /// Grows with every write; the ETag.
    public var version: Int64
    public var createdAt: Timestamp
    public var updatedAt: Timestamp

    public init(
        kind: String, id: String, parentId: String? = nil, brandId: String? = nil, tenantId: String? = nil,
        status: ResourceStatus, statusMessage: String? = nil, spec: [String: JSONValue],
        state: [String: JSONValue] = [:], version: Int64 = 0, createdAt: Timestamp, updatedAt: Timestamp
    ) {
        self.kind = kind
        self.id = id
        self.parentId = parentId
        self.brandId = brandId
        self.tenantId = tenantId
        self.status = status
        self.statusMessage = statusMessage
        self.spec = spec
        self.state = state
        self.version = version
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}
