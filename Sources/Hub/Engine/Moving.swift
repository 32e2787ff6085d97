import HubStore
import Model
package import ResourceKit

/// Changes of what a resource is below.
extension Hub {
    /// Where a resource is to be.
    struct Destination: Sendable {
        /// The resource above; nil for none.
        var parentId: String?
    }

    /// The field that names the resource above, of a kind that may be moved.
    package static func placeField(_ kind: ResourceKind) -> [Field] {
        guard let parent = kind.parent, parent.isMovable else { return [] }
        return [Field(parent.field, .reference(parent.kind), "The \(parent.kind) above.")]
    }

    /// Takes the resource above out of the body of a change. What was read may be sent back: named as it is, it is no
    /// change.
    /// - Throws: `invalid` for another one, where the kind cannot be moved.
    static func splitPlace(
        _ body: JSONValue, of old: ResourceRecord, _ kind: ResourceKind
    ) throws(Problem) -> (JSONValue, Destination?) {
        guard let parent = kind.parent, !kind.fields.contains(where: { $0.name == parent.field }),
            case .object(var members) = body, let named = members[parent.field]
        else { return (body, nil) }
        members[parent.field] = nil
        if named == old.parentId.map(JSONValue.string) ?? .null { return (.object(members), nil) }
        guard parent.isMovable else { throw .invalid(parent.field, "cannot be changed after creation") }
        if named.isNull, parent.isOptional { return (.object(members), Destination()) }
        guard let id = named.stringValue else { throw .invalid(parent.field, "must be the id of a \(parent.kind)") }
        return (.object(members), Destination(parentId: id))
    }

    /// Puts a resource below another one, and what is below it into the hands of the new owner.
    func place(
        _ record: inout ResourceRecord, _ destination: Destination, _ kind: ResourceKind, _ principal: Principal,
        _ transaction: any ResourceTransaction
    ) throws {
        guard let declared = kind.parent else { return }
        let parent = try destination.parentId.map { id in
            guard let parent = try transaction.get(declared.kind, id), principal.sees(brand: parent.brandId),
                parent.status != .deleting, parent.status != .deleted
            else { throw Problem.invalid(declared.field, "is not the id of a \(declared.kind)") }
            return parent
        }
        if let owner = parent?.brandId, owner != record.brandId {
            guard record.brandId == nil else {
                throw Problem.invalid(declared.field, "belongs to another brand than the \(kind.name)")
            }
            record.brandId = owner
            if kind.fields.contains(where: { $0.name == "brand_id" }) { record.spec["brand_id"] = .string(owner) }
        }
        record.parentId = parent?.id
        record.tenantId = parent?.kind == "tenant" ? parent?.id : parent?.tenantId
        try handOver(record, kind, transaction)
    }

    private func handOver(
        _ record: ResourceRecord, _ kind: ResourceKind, _ transaction: any ResourceTransaction
    ) throws {
        for below in kinds where below.parent?.kind == kind.name {
            for var child in try transaction.all(below.name, parentId: record.id) {
                (child.brandId, child.tenantId) = (record.brandId, record.tenantId)
                try handOver(try transaction.put(child), below, transaction)
            }
        }
    }
}
