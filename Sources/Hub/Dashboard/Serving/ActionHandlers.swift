import HTTPTypes
import HubCore
import Model
import ResourceKit

extension DashboardSite {
    // MARK: Deleting

    func confirmDelete(
        _ kind: ResourceKind, _ id: String, problem: Problem? = nil, _ visit: Visit
    ) async throws -> PageAnswer {
        guard kind.verbs.contains(.delete) else {
            throw Problem(.notFound, "A \(GenericPages.title(kind)) cannot be deleted.")
        }
        try visit.principal.require("delete", kind.plural)
        let resource = try await hub.read(kind, id: id, as: visit.principal)
        var problem = problem
        var changes: [JSONValue] = []
        do {
            let plan = try await hub.delete(kind, id: id, options: MutationOptions(isPlan: true), as: visit.principal)
            changes = PlanPages.changes(plan.body, kinds: hub.kinds, names: try await planNames(visit))
        } catch let refusal as Problem where refusal.code == .conflict {
            problem = problem ?? refusal
        }
        let verb = kind.name == "node" ? "Remove" : "Delete"
        let heading = "\(verb) \(GenericPages.title(kind)) \(resource.label)?"
        let own = "/\(kind.plural)/\(percentEncoded(id))"
        let model: [String: JSONValue] = [
            "heading": .string(heading), "text": .string(Self.consequence(kind)), "action": .string(own + "/delete"),
            "button_class": "danger primary", "submit_label": .string("\(verb) \(resource.label)"),
            "is_blocked": .bool(problem != nil), "error": (problem?.message).json, "error_hint": (problem?.hint).json,
            "changes": .array(changes), "has_changes": .bool(!changes.isEmpty), "cancel_path": .string(own),
            "can_edit": false, "carried": [],
        ]
        return page(
            "confirm", title: heading, section: kind.plural,
            crumbs: [
                Crumb(label: GenericPages.pluralTitle(kind), path: "/\(kind.plural)"),
                Crumb(label: resource.label, path: own), Crumb(label: verb),
            ],
            status: problem.map { Self.status(of: $0) } ?? .ok, visit, model)
    }

    private static func consequence(_ kind: ResourceKind) -> String {
        switch kind.name {
        case "service": "It is stopped on every server at once, and its releases and deployments are removed."
        case "node":
            "Its credentials die at once: the agent there hears nothing more from this hub. What it runs is not "
                + "stopped by this; stop the agent on the server itself."
        case "stack": "The stack and all of its services go. This cannot be undone."
        case "api-key": "Programs that use this key are refused from then on."
        case "user": "The person can no longer log in, and open sessions end."
        default: "This cannot be undone."
        }
    }

    func delete(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        guard kind.verbs.contains(.delete) else {
            throw Problem(.notFound, "A \(GenericPages.title(kind)) cannot be deleted.")
        }
        let parent = try await hub.read(kind, id: id, as: visit.principal).text(kind.parent?.field ?? "")
        do {
            _ = try await hub.delete(kind, id: id, as: visit.principal)
        } catch let problem as Problem where problem.code == .conflict {
            return try await confirmDelete(kind, id, problem: problem, visit)
        }
        let above = kind.parent.flatMap { hub.kind($0.kind) }
        if let above, let parent { return .seeOther("/\(above.plural)/\(percentEncoded(parent))?done=deleted") }
        return .seeOther("/\(kind.plural)?done=deleted")
    }

    // MARK: Actions

    func confirmAction(
        _ action: ResourceAction, _ kind: ResourceKind, _ id: String, problem: Problem? = nil, _ visit: Visit
    ) async throws -> PageAnswer {
        try visit.principal.require("write", kind.plural)
        let resource = try await hub.read(kind, id: id, as: visit.principal)
        var changes: [JSONValue] = []
        if problem == nil, action.fields.isEmpty, !action.name.hasPrefix("rotate-"), action.name != "deploy" {
            let plan = try await hub.perform(
                action, on: kind, id: id, options: MutationOptions(isPlan: true), as: visit.principal)
            changes = PlanPages.changes(plan.body, kinds: hub.kinds, names: try await planNames(visit))
        }
        let label = FormFields.label(action.name)
        let values = problem == nil ? FormValues() : FormValues(sent: visit.form, for: action.fields)
        let inputs = FormFields(
            values: values, flaws: problem?.fields ?? [:], options: try await references(action.fields, visit))
        let commit = kind.name == "deployment" ? PageParts.short(resource.text("commit")) : ""
        let target = commit.isEmpty ? resource.label : "commit \(commit)"
        let heading = action.name == "rollback" ? "Roll back to \(target)?" : "\(label) for \(target)?"
        let own = "/\(kind.plural)/\(percentEncoded(id))"
        let model: [String: JSONValue] = [
            "heading": .string(heading), "text": .string(action.summary), "action": .string("\(own)/\(action.name)"),
            "button_class": .string(action.isDestructive ? "danger primary" : "primary"),
            "submit_label": .string(action.name == "rollback" ? "Roll back" : label), "is_blocked": false,
            "error": (problem?.message).json, "error_hint": (problem?.hint).json, "changes": .array(changes),
            "has_changes": .bool(!changes.isEmpty), "cancel_path": .string(own), "can_edit": false, "carried": [],
            "fields": .array(inputs.models(action.fields)),
        ]
        return page(
            "confirm", title: heading, section: kind.name == "deployment" ? "services" : kind.plural,
            status: problem.map { Self.status(of: $0) } ?? .ok, visit, model)
    }

    func perform(
        _ action: ResourceAction, _ kind: ResourceKind, _ id: String, _ visit: Visit
    ) async throws -> PageAnswer {
        let own = "/\(kind.plural)/\(percentEncoded(id))"
        let body = FormDecoding().body(FormValues(sent: visit.form, for: action.fields), of: action.fields)
        let before = try await hub.read(kind, id: id, as: visit.principal)
        if needsPage(action), visit.form["_step"] != "apply" { return try await confirmAction(action, kind, id, visit) }
        let answer: MutationAnswer
        do {
            answer = try await hub.perform(action, on: kind, id: id, body: .object(body), as: visit.principal)
        } catch let problem as Problem where needsPage(action) && problem.code != .internalError {
            return try await confirmAction(action, kind, id, problem: problem, visit)
        }
        let answered = action.answers.flatMap { hub.kind($0) } ?? kind
        if let once = oncePage(answered, answer.body, next: own, visit) { return once }
        guard answered.name != kind.name || answer.body.id != id else {
            return .seeOther("\(own)?done=\(["restart", "retry"].contains(action.name) ? action.name : "done")")
        }
        // A deploy answers the deployment that runs already when there is nothing new.
        if answer.body.id == before.text("deployment_id") { return .seeOther("\(own)?done=current") }
        return .seeOther("/\(answered.plural)/\(percentEncoded(answer.body.id))")
    }
}
