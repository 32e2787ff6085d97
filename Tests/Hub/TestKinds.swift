import AccessResources
import Host
import Model
import ResourceKit

/// Kinds that use every feature of a declaration: a brand, a tree of three levels, secrets at every depth.
enum TestKinds {
    static let all: [ResourceKind] = AccessResources.kinds + [brand, shelf, book, page]

    static let brand = ResourceKind(
        name: "brand", plural: "brands", summary: "A brand.", identity: .slug(field: "name"), isAsynchronous: false,
        fields: [Field("name", .slug, "Name.", required: true, immutable: true)])

    static let shelf = ResourceKind(
        name: "shelf", plural: "shelves", summary: "A shelf of books.", isAsynchronous: false,
        fields: [
            Field("name", .slug, "Name.", required: true), Field("brand_id", .reference("brand"), "Brand."),
            Field("height", .integer(1...1000), "Height.", default: 100),
            Field("weight", .number(0...10), "Weight."),
        ],
        claims: { ["shelf/\($0.spec["name"]?.stringValue ?? "")"] }, columns: ["name", "height", "weight"],
        searched: ["name"])

    static let book = ResourceKind(
        name: "book", plural: "books", summary: "A book.", identity: .prefixed("book_"),
        parent: .init(kind: "shelf", field: "shelf_id"), isAsynchronous: true,
        fields: [
            Field("title", .line, "Title.", required: true),
            Field("isbn", .line, "Number.", immutable: true),
            Field("lock_code", .line, "Secret.", secret: true),
            Field("pin", .line, "Hashed.", hashed: true),
            Field("see_also", .list(of: .reference("book"), countMax: 10), "Others."),
            Field(
                "notes",
                .list(
                    of: .object([Field("text", .line, "Text."), Field("key", .line, "Secret.", secret: true)]),
                    countMax: 5),
                "Notes."),
            Field("env", .map(key: Names.environmentNameFlaw, value: .environmentValue, countMax: 10), "Environment."),
            Field("size", .object([Field("width", .integer(1...99), "Width.", default: 10)]), "Size.", default: [:]),
        ],
        reported: [Field("pages", .integer(0...9999), "Count.")],
        claims: { ["book/\($0.parentId ?? "")/\($0.spec["title"]?.stringValue ?? "")"] },
        actions: [
            ResourceAction(
                "burn", "Burn it.", fields: [Field("lighter", .line, "With.", required: true, secret: true)]),
            ResourceAction("rotate-stamp", "New stamp."),
        ], columns: ["title"], searched: ["title"],
        validate: { spec, flaws in
            if spec["title"] == "forbidden" { flaws.add("title", "must not be forbidden") }
        }, behaviour: BookBehaviour())

    static let page = ResourceKind(
        name: "page", plural: "pages", summary: "A page.", parent: .init(kind: "book", field: "book_id"),
        isAsynchronous: true, fields: [Field("number", .integer(1...9999), "Number.", required: true)],
        behaviour: PageBehaviour())
}

struct BookBehaviour: KindBehaviour {
    func prepareCreate(_ draft: inout ResourceRecord, _ world: HubWorld) async throws { draft.state["pages"] = 0 }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try transaction.emit(HubEvent(time: transaction.now, kind: "config", message: "A book was made."))
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        var record = record
        record.status = .failed
        record.statusMessage = "Burnt by \(actor)."
        return try transaction.put(record)
    }

    func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue] {
        let stamp = world.random.hex(8)
        record.state["stamp"] = .string(try world.secrets.seal(stamp))
        return ["stamp": .string(stamp)]
    }
}

/// Pages above 100 need work before they are gone.
struct PageBehaviour: KindBehaviour {
    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        (record.spec["number"]?.intValue ?? 0) <= 100
    }
}
