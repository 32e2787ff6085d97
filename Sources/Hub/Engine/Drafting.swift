import AgentProtocol
import Host
import HubStore
import Logging
import Model
import ResourceKit

/// From what a caller sent to what is stored.
extension Hub {
    /// The stored spec with the named fields replaced; only these are checked, then all together.
    func changedSpec(_ body: JSONValue, of old: ResourceRecord, _ kind: ResourceKind) throws -> [String: JSONValue] {
        guard var named = body.objectValue else {
            throw Problem(.invalid, "The body must be a JSON object, not \(body.typeName).")
        }
        for field in kind.fields {
            guard let value = named[field.name], let stored = old.spec[field.name] else { continue }
            named[field.name] = field.kind.keepingSecrets(of: stored, in: value)
        }
        var flaws = FieldFlaws()
        kind.fields.check(named, partial: true, into: &flaws)
        for field in kind.fields where field.isImmutable {
            if let value = named[field.name], value != old.spec[field.name] ?? .null {
                flaws.add(field.name, "cannot be changed after creation")
            }
        }
        var spec = old.spec
        for (name, value) in named {
            if value.isNull { spec.removeValue(forKey: name) } else { spec[name] = value }
        }
        spec = kind.fields.withDefaults(spec)
        if flaws.problem == nil { kind.validate(spec, &flaws) }
        if let problem = flaws.problem { throw problem }
        return spec
    }

    /// Hashes what is only compared and seals what must be read again. Sealed values stay as they are.
    func sealed(
        _ spec: [String: JSONValue], _ kind: ResourceKind, unless old: [String: JSONValue] = [:]
    ) async throws -> [String: JSONValue] {
        var spec = spec
        for field in kind.fields where field.isHashed {
            guard let text = spec[field.name]?.stringValue, old[field.name] != spec[field.name] else { continue }
            spec[field.name] = .string(try await passwords.hash(text, random: world.random))
        }
        for field in kind.fields where field.isDigested {
            guard let value = spec[field.name], old[field.name] != value else { continue }
            spec[field.name] = Self.digested(value)
        }
        return try kind.fields.replacingSecrets(in: spec) { value in
            guard let text = value.stringValue else { return value }
            return .string(try world.secrets.seal(text))
        }
    }

    /// Each text as its SHA-256.
    private static func digested(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): .string(sha256Hex(Array(text.utf8)))
        case .array(let values): .array(values.map(digested))
        default: value
        }
    }

    /// Checks that everything that a spec refers to exists and may be seen.
    func checkReferences(
        _ spec: [String: JSONValue], _ kind: ResourceKind, names: Set<String>? = nil, _ principal: Principal,
        _ transaction: any ResourceTransaction
    ) throws {
        let fields = kind.fields.filter { names?.contains($0.name) ?? true }
        try checkReferences(spec, of: fields, principal, transaction)
    }

    func checkReferences(
        _ spec: [String: JSONValue], of fields: [Field], _ principal: Principal,
        _ transaction: any ResourceTransaction
    ) throws {
        var flaws = FieldFlaws()
        for field in fields {
            guard let value = spec[field.name] else { continue }
            for (path, kindName, id) in field.kind.references(in: value, path: field.name) {
                let target = try transaction.get(kindName, id)
                // What belongs to the platform, such as a cluster, is for every brand to use.
                let isShared = target?.brandId == nil && kindsByName[kindName]?.isPlatformOnly == true
                guard let target, isShared || principal.sees(brand: target.brandId), target.status != .deleting,
                    target.status != .deleted
                else {
                    flaws.add(path, "is not the id of a \(kindName)")
                    continue
                }
            }
        }
        if let problem = flaws.problem { throw problem }
    }

    /// The brand that a new resource belongs to.
    func brand(
        of spec: [String: JSONValue], _ kind: ResourceKind, id: String, parent: ResourceRecord?, _ principal: Principal
    ) throws -> String? {
        let named = kind.fields.contains { $0.name == "brand_id" } ? spec["brand_id"]?.stringValue : nil
        let brand = named ?? (kind.name == "brand" ? id : parent?.brandId)
        switch principal.brands {
        case .all: return brand
        case .only(let ids):
            if brand == nil, ids.count == 1 { return ids[0] }
            guard let brand, ids.contains(brand) else { throw Self.foreignBrand }
            return brand
        }
    }

    static let foreignBrand = Problem(
        .forbidden, "The resource would belong to a brand that this key may not touch.")

    /// Decides, before the body is looked at any further, whether the caller may touch the brand that it names.
    /// - Throws: `forbidden`; the same whether or not there is such a brand.
    static func requireBrand(named body: JSONValue, _ kind: ResourceKind, _ principal: Principal) throws(Problem) {
        guard case .only(let ids) = principal.brands, kind.fields.contains(where: { $0.name == "brand_id" }),
            let named = body["brand_id"]?.stringValue, !ids.contains(named)
        else { return }
        throw foreignBrand
    }
}

extension Field.Kind {
    /// Every reference in a value: its path, the kind and the id.
    func references(in value: JSONValue, path: String) -> [(path: String, kind: String, id: String)] {
        switch (self, value) {
        case (.reference(let kind), .string(let id)): return [(path, kind, id)]
        case (.list(let element, _), .array(let values)):
            return values.enumerated().flatMap { element.references(in: $1, path: "\(path)[\($0)]") }
        case (.map(_, let kind, _), .object(let members)):
            return members.flatMap { kind.references(in: $1, path: "\(path).\($0)") }
        case (.object(let fields), .object(let members)):
            return fields.flatMap { field in
                members[field.name].map { field.kind.references(in: $0, path: "\(path).\(field.name)") } ?? []
            }
        default: return []
        }
    }
}
