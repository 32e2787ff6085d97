import HubCore
import HubStore
import Model
import ResourceKit

extension DashboardSite {
    func list(_ kind: ResourceKind, _ visit: Visit) async throws -> PageAnswer {
        guard kind.verbs.contains(.list) else { throw Problem(.notFound, "There is no list of \(kind.plural).") }
        let status = visit.asked("status").flatMap { ResourceStatus(rawValue: $0)?.rawValue }
        let query = ListQuery(
            limit: 50, cursor: visit.query.line("cursor"), search: visit.asked("search"), status: status,
            sort: "created_at", descending: kind.name == "deployment")
        let (items, next) = try await hub.list(kind, query, as: visit.principal)
        let names = try await referenceNames(kind, in: items, visit)
        let title = GenericPages.title(kind)
        let isFiltered = status != nil || visit.asked("search") != nil
        var model = pager(path: "/\(kind.plural)", next: next, keeping: ["search", "status"], visit)
        model.merge([
            "heading": .string(GenericPages.pluralTitle(kind)), "summary": .string(kind.summary),
            "create_path": createPath(kind, visit).json, "create_label": .string("New \(title)"),
            "show_filters": .bool(isFiltered || next != nil || items.count > 8 || model["has_pager"] == true),
            "list_path": .string("/\(kind.plural)"), "search": visit.asked("search").json,
            "statuses": TimelinePages.options(
                "Any status", ResourceStatus.allCases.map { ($0.rawValue, $0.rawValue) }, selected: status),
            "live_kinds": .string(kind.name), "columns": GenericPages.columnModels(kind),
            "rows": .array(items.map { GenericPages.row($0, kind, names: names, now: visit.now) }),
            "has_rows": .bool(!items.isEmpty),
            "empty_heading": .string(isFiltered ? "Nothing matches" : "No \(title) yet"),
            "empty_text": .string(isFiltered ? "Widen the filter." : kind.summary),
        ]) { $1 }
        return page(
            "list", title: GenericPages.pluralTitle(kind), section: kind.plural, topics: [kind.name], visit, model)
    }

    func createPath(_ kind: ResourceKind, _ visit: Visit) -> String? {
        kind.verbs.contains(.create) && may("write", kind, visit) ? "/\(kind.plural)/new" : nil
    }

    func genericShow(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        guard kind.verbs.contains(.read) else { throw Hub.unknown(kind, id) }
        let resource = try await hub.read(kind, id: id, as: visit.principal)
        let names = try await referenceNames(kind, in: [resource], visit)
        let children = hub.kinds.filter {
            $0.parent?.kind == kind.name && $0.verbs.contains(.list)
                && maySee($0, visit)
        }
        let builtIn = ["created_at", "updated_at"].map { Field($0, .line, "") }
        let message = resource.text("status_message")
        let model: [String: JSONValue] = [
            "heading": .string(resource.label), "summary": .string(kind.summary), "kind": .string(kind.name),
            "state": PageParts.state(resource.text("status") ?? "active"), "message": message.json,
            "message_tone": .string(PageParts.tone(resource.text("status") ?? "active")),
            "edit_path": editPath(kind, id, visit).json, "delete_path": deletePath(kind, id, visit).json,
            "actions": .array(actionModels(kind, resource, visit)),
            "facts": .array(
                GenericPages.facts(
                    resource, parentField(kind) + kind.fields.filter { !$0.isInputOnly } + kind.reported + builtIn,
                    names: names, now: visit.now)),
            "children": .array(
                children.map {
                    ["path": .string("/\($0.plural)"), "label": .string(GenericPages.pluralTitle($0))]
                }), "has_children": .bool(!children.isEmpty),
        ]
        return page(
            "show", title: resource.label, section: kind.plural,
            crumbs: [
                Crumb(
                    label: GenericPages.pluralTitle(kind),
                    path: "/\(kind.plural)"), Crumb(label: resource.label),
            ], topics: [kind.name], visit, model)
    }

    /// The parent as a field, for a kind that does not declare it itself.
    func parentField(_ kind: ResourceKind) -> [Field] {
        guard let parent = kind.parent, !kind.fields.contains(where: { $0.name == parent.field }),
            !kind.reported.contains(where: { $0.name == parent.field })
        else { return [] }
        let summary = "The \(GenericPages.title(hub.kind(parent.kind) ?? kind)) that it belongs to."
        return [Field(parent.field, .reference(parent.kind), summary, required: true, immutable: true)]
    }

    /// Buttons; what destroys something or asks for values first shows a page.
    private func actionModels(_ kind: ResourceKind, _ resource: JSONValue, _ visit: Visit) -> [JSONValue] {
        guard may("write", kind, visit) else { return [] }
        return kind.allActions.filter { $0.name != "retry" || resource.text("status") == "failed" }.map { action in
            [
                "label": .string(FormFields.label(action.name)), "summary": .string(action.summary),
                "is_link": .bool(needsPage(action)),
                "path": .string("/\(kind.plural)/\(percentEncoded(resource.id))/\(action.name)"),
            ]
        }
    }

    /// Whether an action is confirmed on a page of its own.
    func needsPage(_ action: ResourceAction) -> Bool {
        action.isDestructive || !action.fields.isEmpty || action.name.hasPrefix("rotate-") || action.name == "rollback"
    }

    /// Names of what the shown resources refer to, as far as the reader may see it.
    private func referenceNames(
        _ kind: ResourceKind, in resources: [JSONValue], _ visit: Visit
    ) async throws -> [String: String] {
        var wanted: Set<HubChange> = []
        for field in parentField(kind) + kind.fields + kind.reported {
            guard case .reference(let name) = field.kind, let other = hub.kind(name), maySee(other, visit) else {
                continue
            }
            for id in resources.compactMap({ $0.text(field.name) }) { wanted.insert(HubChange(kind: name, id: id)) }
        }
        guard !wanted.isEmpty else { return [:] }
        let (asked, principal) = (wanted, visit.principal)
        let found = try await hub.read { transaction in
            try asked.compactMap { try transaction.get($0.kind, $0.id) }.filter { principal.sees(brand: $0.brandId) }
        }
        return Dictionary(
            found.compactMap { record in
                hub.kind(record.kind).map { (record.id, hub.rendered(record, $0).label) }
            }, uniquingKeysWith: { $1 })
    }

    /// Resources that the fields may refer to, by kind.
    func references(_ fields: [Field], _ visit: Visit) async throws -> [String: [FormFields.Option]] {
        var result: [String: [FormFields.Option]] = [:]
        for field in fields {
            guard case .reference(let name) = field.kind, result[name] == nil, name != "deployment" else { continue }
            let known = try await all(name, visit)
            // Too many for a list to choose from: the field takes an id.
            guard known.count < Self.shownMax else { continue }
            result[name] = known.map { .init(value: $0.id, label: $0.label) }
        }
        return result
    }
}

extension Hub {
    fileprivate static func unknown(_ kind: ResourceKind, _ id: String) -> Problem {
        Problem(.notFound, "There is no \(kind.name) with the id \"\(id.prefix(100))\".")
    }
}
