import Catalog
import Model
import ResourceKit
import Testing

/// Rules that every kind of the catalogue keeps.
@Suite struct KindTests {
    static let kinds = Catalog.kinds.map(\.name)

    private func kind(_ name: String) throws -> ResourceKind { try #require(Catalog.kind(named: name)) }

    @Test func `names and paths are unique`() {
        #expect(Set(Catalog.kinds.map(\.name)).count == Catalog.kinds.count)
        #expect(Set(Catalog.kinds.map(\.plural)).count == Catalog.kinds.count)
    }

    @Test(arguments: kinds) func `every field says what it is for`(name: String) throws {
        let kind = try kind(name)
        for field in kind.fields + kind.reported {
            #expect(field.summary.hasSuffix("."), "\(name).\(field.name)")
            #expect(field.name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }, "\(name).\(field.name)")
        }
        let names = (kind.fields + kind.reported).map(\.name)
        #expect(Set(names).count == names.count, "\(name) has a field twice")
    }

    @Test(arguments: kinds) func `defaults and examples are valid values`(name: String) throws {
        for field in try kind(name).fields {
            for value in [field.defaultValue, field.example].compactMap({ $0 }) {
                var flaws = FieldFlaws()
                [field].check([field.name: value], into: &flaws)
                #expect(flaws.problem == nil, "\(name).\(field.name)")
            }
        }
    }

    @Test(arguments: kinds) func `an unknown field is refused with its path, and redacted`(name: String) throws {
        let kind = try kind(name)
        var flaws = FieldFlaws()
        kind.fields.check(["no_such_field": "planted"], partial: true, into: &flaws)
        #expect(flaws.reasons["no_such_field"] == "is not a known field")
        #expect(kind.fields.redacted(["no_such_field": "planted"]) == ["no_such_field": "[redacted]"])
    }

    @Test(arguments: kinds) func `parents and references exist, and columns are fields`(name: String) throws {
        let kind = try kind(name)
        if let parent = kind.parent { #expect(Catalog.kind(named: parent.kind) != nil) }
        for field in kind.fields + kind.reported {
            if case .reference(let other) = field.kind {
                #expect(Catalog.kind(named: other) != nil, "\(name).\(field.name)")
            }
        }
        let known = Set((kind.fields + kind.reported).map(\.name))
        #expect(Set(kind.columns).isSubset(of: known), "\(name): \(kind.columns)")
        #expect(Set(kind.searched).isSubset(of: known), "\(name): \(kind.searched)")
        for action in kind.actions { #expect(action.summary.hasSuffix("."), "\(name) \(action.name)") }
    }

    @Test(arguments: kinds) func `a value of the wrong type is refused by path`(name: String) throws {
        for field in try kind(name).fields {
            var flaws = FieldFlaws()
            [field].check([field.name: [["deep": 1]]], into: &flaws)
            #expect(flaws.reasons.keys.contains { $0.hasPrefix(field.name) }, "\(name).\(field.name)")
        }
    }
}
