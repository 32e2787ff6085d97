import Model
import ResourceKit

/// What must change so that the hub has what a file says. Pure: file and hub in, changes out.
struct StackChanges: Equatable {
    /// One request to the hub.
    struct Step: Equatable {
        var plan: PlannedChange
        /// Nil for what does not exist yet.
        var id: String?
        /// Body of the request; empty for a deletion.
        var body: [String: JSONValue] = [:]
    }

    var stack: Step?
    var services: [Step] = []
    var sites: [Step] = []
    /// Services and sites of the hub that the file does not name and that stay.
    var extra: [String] = []

    var planned: [PlannedChange] { (stack.map { [$0.plan] } ?? []) + ordered.map(\.plan) }

    /// In the order in which the hub takes them: a site needs its service, and may need another one's domain.
    var ordered: [Step] {
        func isDeletion(_ step: Step) -> Bool { step.plan.change == .delete }
        return sites.filter(isDeletion) + services.filter { !isDeletion($0) } + sites.filter { !isDeletion($0) }
            + services.filter(isDeletion)
    }

    /// - Parameters:
    ///   - sites: those of the stack on the hub.
    ///   - prunes: whether services and sites that the file does not name are deleted.
    ///   - refreshesSecrets: whether secrets that the hub has already are sent again; nobody can compare them.
    static func compute(
        file: StackFile, stack: Resource?, services: [Resource], sites: [Resource] = [], stackKind: ResourceKind,
        serviceKind: ResourceKind, siteKind: ResourceKind, prunes: Bool, refreshesSecrets: Bool
    ) -> StackChanges {
        var changes = StackChanges()
        let title = file.stack["name"]?.stringValue ?? ""
        changes.stack = step(file.stack, stack, title, stackKind, refreshesSecrets)
        let byName = Dictionary(services.compactMap { one in one.name.map { ($0, one) } }, uniquingKeysWith: { $1 })
        for (name, spec) in file.services.sorted(by: { $0.key < $1.key }) {
            var whole = spec
            whole["name"] = .string(name)
            if let step = step(whole, byName[name], name, serviceKind, refreshesSecrets) {
                changes.services.append(step)
            }
        }
        for (name, service) in byName.sorted(by: { $0.key < $1.key }) where file.services[name] == nil {
            guard prunes else {
                changes.extra.append(name)
                continue
            }
            let plan = PlannedChange(change: .delete, kind: serviceKind.name, title: name)
            changes.services.append(Step(plan: plan, id: service.id))
        }
        changes.compare(file.sites, with: sites, siteKind, prunes, refreshesSecrets)
        return changes
    }

    private mutating func compare(
        _ wanted: [String: [String: JSONValue]], with present: [Resource], _ kind: ResourceKind, _ prunes: Bool,
        _ refreshesSecrets: Bool
    ) {
        let present = present.filter { $0.status != "deleting" }
        let byDomain = Dictionary(
            present.compactMap { one in one.name.map { (Names.normalizedHost($0), one) } }, uniquingKeysWith: { $1 })
        for (domain, spec) in wanted.sorted(by: { $0.key < $1.key }) {
            var whole = spec
            whole["domain"] = .string(domain)
            let current = byDomain[Names.normalizedHost(domain)]
            if let step = Self.step(whole, current, domain, kind, refreshesSecrets) { sites.append(step) }
        }
        let named = Set(wanted.keys.map(Names.normalizedHost))
        for (domain, site) in byDomain.sorted(by: { $0.key < $1.key }) where !named.contains(domain) {
            guard prunes else {
                extra.append(domain)
                continue
            }
            sites.append(Step(plan: PlannedChange(change: .delete, kind: kind.name, title: domain), id: site.id))
        }
    }

    private static func step(
        _ wanted: [String: JSONValue], _ current: Resource?, _ title: String, _ kind: ResourceKind,
        _ refreshesSecrets: Bool
    ) -> Step? {
        guard let current else {
            let body = wanted.filter { !$0.value.isNull }
            let secrets = Set(kind.fields.filter(\.isSecret).map(\.name))
            let fields = Dictionary(
                uniqueKeysWithValues: body.map { name, value in
                    let shown: JSONValue = secrets.contains(name) ? "[redacted]" : value
                    return (name, PlannedChange.FieldChange(from: .null, to: shown))
                })
            return Step(plan: PlannedChange(change: .create, kind: kind.name, title: title, fields: fields), body: body)
        }
        var body: [String: JSONValue] = [:]
        var fields: [String: PlannedChange.FieldChange] = [:]
        let titles: Set<String> = ["name", "domain"]
        for field in kind.fields where !titles.contains(field.name) && !field.isSecret {
            let from = current.value[field.name] ?? .null
            let keeps =
                refreshesSecrets
                ? (wanted[field.name] ?? .null) : keepingSecrets(wanted[field.name] ?? .null, field, from)
            guard normal(keeps, field) != normal(from, field) else { continue }
            // Null puts the default back: what the file does not name is as if it had never been named.
            body[field.name] = keeps
            fields[field.name] = .init(from: from, to: keeps.isNull ? field.defaultValue ?? .null : keeps)
        }
        // Nobody can compare them; they go along with what else changes.
        for field in kind.fields where field.isSecret && (refreshesSecrets || !body.isEmpty) {
            guard let value = wanted[field.name], !value.isNull else { continue }
            body[field.name] = value
        }
        guard !body.isEmpty else { return nil }
        let plan = PlannedChange(change: .update, kind: kind.name, title: title, fields: fields)
        return Step(plan: plan, id: current.id, body: body)
    }

    /// A secret that the hub has is left as it is.
    private static func keepingSecrets(_ wanted: JSONValue, _ field: Field, _ current: JSONValue) -> JSONValue {
        guard case .map(_, .environmentValue, _) = field.kind, var members = wanted.objectValue else { return wanted }
        for (name, value) in members where value["secret"] == true && current[name]?["secret"] == true {
            members[name] = ["secret": true]
        }
        return .object(members)
    }

    /// One form for all that means the same: spans and sizes as numbers, defaults filled in, nothing as null.
    static func normal(_ value: JSONValue, _ field: Field) -> JSONValue {
        normal(value.isNull ? field.defaultValue ?? .null : value, field.kind)
    }

    private static func normal(_ value: JSONValue, _ kind: Field.Kind) -> JSONValue {
        switch kind {
        case .duration: return Duration(json: value).map { .int($0.milliseconds) } ?? value
        case .size: return ByteCount.parse(json: value).map { .int($0) } ?? value
        case .number: return value.doubleValue.map { .double($0) } ?? value
        case .object(let fields):
            let members = value.objectValue ?? [:]
            let filled = fields.map { ($0.name, normal(members[$0.name] ?? .null, $0)) }.filter { !$0.1.isNull }
            return filled.isEmpty ? .null : .object(Dictionary(uniqueKeysWithValues: filled))
        case .list(let element, _):
            let values = value.arrayValue ?? []
            return values.isEmpty ? .null : .array(values.map { normal($0, element) })
        case .map(_, let element, _):
            let members = value.objectValue ?? [:]
            return members.isEmpty ? .null : .object(members.mapValues { normal($0, element) })
        case .environmentValue:
            // A variable that is no secret may be written in either form.
            if value["secret"] != true, let text = value["value"] { return text }
            return value
        default: return value
        }
    }
}
