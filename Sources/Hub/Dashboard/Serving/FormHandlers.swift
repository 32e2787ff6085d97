import HTTPTypes
import Host
import HubCore
import Model
import ResourceKit

/// A form of a kind: what it shows, and what happened to it.
struct ResourceForm: Sendable {
    var kind: ResourceKind
    /// Nil for something new.
    var id: String?
    /// What is stored; null for something new.
    var stored: JSONValue = .null
    var values: FormValues
    var problem: Problem?
    var version: Int64?
    /// Makes a form that is sent twice count once.
    var once: String
}

extension DashboardSite {
    /// Fields of the first part of a form; the others are below "More settings".
    private static let primaryFields: [String: Set<String>] = [
        "service": [
            "stack_id", "name", "kind", "git_url", "git_ref", "build_command", "run_command", "public_folder", "path",
            "hostnames", "env",
        ],
        "site": ["stack_id", "domain", "aliases", "upstream", "www_redirect", "tls", "auth"],
    ]

    /// All fields of a form, the parent first.
    func formFields(_ kind: ResourceKind) -> [Field] { parentField(kind) + kind.fields }

    // MARK: Showing

    func newForm(_ kind: ResourceKind, _ visit: Visit) async throws -> PageAnswer {
        guard kind.verbs.contains(.create) else {
            throw Problem(.notFound, "A \(GenericPages.title(kind)) cannot be made on a page.")
        }
        try visit.principal.require("write", kind.plural)
        let fields = formFields(kind)
        var values = FormValues(showing: fields.withDefaults([:]), of: fields)
        for field in fields {
            if let text = visit.asked(field.name) { values.texts[field.name] = text }
            if case .reference(let name) = field.kind, visit.asked(field.name) == nil {
                // With one choice there is nothing to choose.
                let known = try await all(name, limit: 2, visit)
                if known.count == 1 { values.texts[field.name] = known[0].id }
            }
        }
        return try await formPage(ResourceForm(kind: kind, values: values, once: hub.world.random.hex(16)), visit)
    }

    func editForm(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        guard kind.verbs.contains(.update) else {
            throw Problem(.notFound, "A \(GenericPages.title(kind)) cannot be changed.")
        }
        try visit.principal.require("write", kind.plural)
        let stored = try await hub.read(kind, id: id, as: visit.principal)
        let form = ResourceForm(
            kind: kind, id: id, stored: stored,
            values: FormValues(showing: stored.objectValue ?? [:], of: formFields(kind)),
            version: stored.int("revision"), once: "")
        return try await formPage(form, visit)
    }

    func formPage(_ form: ResourceForm, _ visit: Visit) async throws -> PageAnswer {
        let kind = form.kind
        let fields = formFields(kind)
        let inputs = FormFields(
            values: form.values, flaws: form.problem?.fields ?? [:], isEdit: form.id != nil,
            options: try await references(fields, visit))
        let split = Self.primaryFields[kind.name]
        let isPrimary: (Field) -> Bool = { split?.contains($0.name) ?? true }
        let more = fields.filter { !isPrimary($0) }
        let title = GenericPages.title(kind)
        let own = form.id.map { "/\(kind.plural)/\(percentEncoded($0))" }
        let errors = inputs.errorList(fields)
        let heading =
            form.id == nil
            ? (kind.name == "install-token" ? "Add a server" : "New \(title)")
            : "Settings of \(form.stored.label)"
        let hasMoreFlaws = more.contains { field in
            inputs.flaws.keys.contains {
                $0 == field.name || $0.hasPrefix(field.name + ".")
                    || $0.hasPrefix(field.name + "[")
            }
        }
        let model: [String: JSONValue] = [
            "heading": .string(heading), "summary": .string(kind.summary),
            "action": .string(own.map { $0 + "/edit" } ?? "/\(kind.plural)"), "once": .string(form.once),
            "version": form.version.map { .int($0) } ?? .null,
            "submit_label": .string(submitLabel(form)), "can_preview": .bool(kind.isAsynchronous),
            "cancel_path": .string(own ?? "/\(kind.plural)"),
            "error": form.problem.map { .string(errors.isEmpty ? $0.message : "Some values were not accepted") }
                ?? .null,
            "error_hint": (form.problem?.hint).json, "error_list": .array(errors),
            "has_error_list": .bool(!errors.isEmpty),
            "fields": .array(inputs.models(fields.filter(isPrimary))), "more_fields": .array(inputs.models(more)),
            "has_more_fields": .bool(!more.isEmpty), "is_more_open": .bool(hasMoreFlaws),
        ]
        let crumbs =
            [Crumb(label: GenericPages.pluralTitle(kind), path: "/\(kind.plural)")]
            + (own.map { [Crumb(label: form.stored.label, path: $0)] } ?? []) + [Crumb(label: heading)]
        return page(
            "form", title: heading, section: kind.plural, crumbs: crumbs,
            status: form.problem.map { Self.status(of: $0) } ?? .ok, visit, model)
    }

    private func submitLabel(_ form: ResourceForm) -> String {
        if form.id != nil { return "Save" }
        return form.kind.name == "install-token" ? "Make the command" : "Create \(GenericPages.title(form.kind))"
    }

    // MARK: Taking

    func create(_ kind: ResourceKind, _ visit: Visit) async throws -> PageAnswer {
        guard kind.verbs.contains(.create) else {
            throw Problem(.notFound, "A \(GenericPages.title(kind)) cannot be made on a page.")
        }
        let fields = formFields(kind)
        let once = visit.form.line("_once") ?? ""
        var form = ResourceForm(kind: kind, values: FormValues(sent: visit.form, for: fields), once: once)
        if visit.form["_step"] == "edit" { return try await formPage(form, visit) }
        do {
            var body = FormDecoding().body(form.values, of: fields)
            let parent = kind.parent.flatMap { body[$0.field]?.stringValue }
            if let field = parentField(kind).first {
                guard parent != nil else { throw Problem.invalid(field.name, "is required") }
                body[field.name] = nil
            }
            let isPreview = visit.form["_step"] == "preview"
            let options = MutationOptions(
                idempotencyKey: once.isEmpty || isPreview ? nil : String("form-\(once)".prefix(64)), isPlan: isPreview)
            let answer = try await hub.create(
                kind, parentId: parent, body: .object(body), options: options, as: visit.principal)
            if isPreview { return try await previewPage(form, plan: answer.body, visit) }
            return try await created(kind, answer.body, visit)
        } catch let problem as Problem where problem.code != .internalError {
            form.problem = problem
            return try await formPage(form, visit)
        }
    }

    func update(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        guard kind.verbs.contains(.update) else {
            throw Problem(.notFound, "A \(GenericPages.title(kind)) cannot be changed.")
        }
        let stored = try await hub.read(kind, id: id, as: visit.principal)
        let fields = formFields(kind)
        let shown = FormValues(showing: stored.objectValue ?? [:], of: fields)
        var form = ResourceForm(
            kind: kind, id: id, stored: stored, values: FormValues(sent: visit.form, for: fields, keeping: shown),
            version: visit.form.line("_version").flatMap { Int64($0) }, once: "")
        let step = visit.form["_step"] ?? "save"
        if step == "edit" { return try await formPage(form, visit) }
        do {
            let body = FormDecoding(stored: stored.objectValue ?? [:]).body(form.values, of: kind.fields)
            guard !body.isEmpty else { return .seeOther("/\(kind.plural)/\(percentEncoded(id))?done=unchanged") }
            if step != "apply" {
                let plan = try await hub.update(
                    kind, id: id, body: .object(body), options: MutationOptions(ifMatch: form.version, isPlan: true),
                    as: visit.principal)
                if step == "preview" || PlanPages.needsReview(plan.body) {
                    return try await previewPage(form, plan: plan.body, visit)
                }
            }
            _ = try await hub.update(
                kind, id: id, body: .object(body), options: MutationOptions(ifMatch: form.version), as: visit.principal)
            return .seeOther("/\(kind.plural)/\(percentEncoded(id))?done=saved")
        } catch let problem as Problem where problem.code != .internalError {
            form.problem = problem
            // The next attempt is made knowing of the other change.
            if problem.code == .stale { form.version = stored.int("revision") }
            return try await formPage(form, visit)
        }
    }

    private func previewPage(_ form: ResourceForm, plan: JSONValue, _ visit: Visit) async throws -> PageAnswer {
        let kind = form.kind
        let own = form.id.map { "/\(kind.plural)/\(percentEncoded($0))" }
        let changes = PlanPages.changes(plan, kinds: hub.kinds, names: try await planNames(visit))
        let heading = form.id == nil ? "Create this \(GenericPages.title(kind))?" : "Change \(form.stored.label)?"
        let carried = visit.form.pairs.filter { $0.name != "csrf" && $0.name != "_step" }
        let model: [String: JSONValue] = [
            "heading": .string(heading),
            "text": changes.isEmpty ? "Nothing would change." : "Nothing was changed yet. This is what would happen:",
            "action": .string(own.map { $0 + "/edit" } ?? "/\(kind.plural)"), "changes": .array(changes),
            "has_changes": .bool(!changes.isEmpty), "button_class": "primary",
            "submit_label": .string(form.id == nil ? submitLabel(form) : "Apply the changes"), "can_edit": true,
            "carried": .array(carried.map { ["name": .string($0.name), "value": .string($0.value)] }),
            "cancel_path": .string(own ?? "/\(kind.plural)"), "error": .null,
        ]
        return page("confirm", title: heading, section: kind.plural, visit, model)
    }

    /// Names of what a plan may mention.
    func planNames(_ visit: Visit) async throws -> [String: String] {
        names(try await all("stack", visit), try await all("service", visit), try await all("node", visit))
    }

    // MARK: Shown once

    /// After a creation: what is shown only now, or the page of what was created.
    private func created(_ kind: ResourceKind, _ body: JSONValue, _ visit: Visit) async throws -> PageAnswer {
        let path = kind.name == "install-token" ? "/nodes" : "/\(kind.plural)/\(percentEncoded(body.id))"
        return oncePage(kind, body, next: path, visit) ?? .seeOther(path + (kind.isAsynchronous ? "" : "?done=created"))
    }

    /// Nil when the answer has nothing that is shown only once.
    func oncePage(_ kind: ResourceKind, _ body: JSONValue, next: String, _ visit: Visit) -> PageAnswer? {
        let declared = Set((formFields(kind) + kind.reported).map(\.name))
            .union(["id", "status", "status_message", "created_at", "updated_at", "revision", kind.parent?.field ?? ""])
        let shown = (body.objectValue ?? [:]).filter { !declared.contains($0.key) && $0.value.stringValue != nil }
        guard !shown.isEmpty else { return nil }
        let reveals = shown.sorted { $0.key < $1.key }.flatMap { name, value in
            reveal(kind, name, value.stringValue ?? "", body, visit)
        }
        let heading =
            kind.name == "install-token"
            ? "Add a server" : "\(FormFields.label(name(kind, shown))) of \(body.label)"
        return page(
            "once", title: heading, section: kind.plural, visit,
            ["heading": .string(heading), "reveals": .array(reveals), "next": .string(next)])
    }

    private func name(_ kind: ResourceKind, _ shown: [String: JSONValue]) -> String {
        shown.count == 1 ? shown.keys.first ?? "secret" : "secrets"
    }

    private func reveal(
        _ kind: ResourceKind, _ name: String, _ value: String, _ body: JSONValue, _ visit: Visit
    ) -> [JSONValue] {
        let plain: JSONValue = [
            "id": .string("once-\(name)"), "label": .string(FormFields.label(name)), "value": .string(value),
            "hint": name == "webhook_secret"
                ? .string("Give it to the webhook for \(visit.hubURL)\(body.text("webhook_path") ?? "").") : .null,
        ]
        guard kind.name == "install-token" else { return [plain] }
        let uses = body.int("uses") ?? 1
        let end = body.text("expires_at").flatMap { Timestamp(rfc3339: $0) }.map(PageParts.exact)
        return [
            [
                "id": "once-command", "label": "Run this on the server, as root",
                "value": .string(configuration.joinCommand(visit.hubURL, value)),
                "hint": .string(
                    "It works \(uses == 1 ? "once" : "\(uses) times") until \(end ?? "it expires"). "
                        + "The server then appears under Servers by itself."),
            ]
        ]
    }
}
