public import Model

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What goes in and out of workflows and steps: anything that survives being written as JSON.
///
/// A `Codable` type conforms by saying so. The step that ran and the one that was replayed give the same value, because
/// both are read from what was written.
public protocol WorkflowValue: Sendable {
    /// - Throws: when the value cannot be written, e.g. a number that is not finite.
    func journaled() throws -> JSONValue
    /// - Throws: when the JSON is not such a value.
    init(journaled value: JSONValue) throws
}

extension WorkflowValue where Self: Codable {
    public func journaled() throws -> JSONValue { try JSONParser.parse(Array(try JSONEncoder().encode(self))) }

    public init(journaled value: JSONValue) throws {
        self = try JSONDecoder().decode(Self.self, from: Data(value.canonicalBytes))
    }
}

/// A step or workflow that answers nothing.
public struct Nothing: WorkflowValue, Equatable {
    public init() {}
    public func journaled() -> JSONValue { .null }
    public init(journaled value: JSONValue) {}
}

private func unfit(_ value: JSONValue, _ wanted: String) -> Problem {
    Problem(.invalid, "The journal holds \(value.typeName) where \(wanted) was expected.")
}

extension JSONValue: WorkflowValue {
    public func journaled() throws -> JSONValue {
        if case .double(let number) = self, !number.isFinite {
            throw Problem(.invalid, "A number that is not finite cannot be journaled.")
        }
        return self
    }
    public init(journaled value: JSONValue) { self = value }
}

extension String: WorkflowValue {
    public func journaled() -> JSONValue { .string(self) }
    public init(journaled value: JSONValue) throws {
        guard let text = value.stringValue else { throw unfit(value, "a string") }
        self = text
    }
}

extension Bool: WorkflowValue {
    public func journaled() -> JSONValue { .bool(self) }
    public init(journaled value: JSONValue) throws {
        guard let flag = value.boolValue else { throw unfit(value, "a boolean") }
        self = flag
    }
}

extension Int64: WorkflowValue {
    public func journaled() -> JSONValue { .int(self) }
    public init(journaled value: JSONValue) throws {
        guard let number = value.intValue else { throw unfit(value, "a whole number") }
        self = number
    }
}

extension Int: WorkflowValue {
    public func journaled() -> JSONValue { .int(Int64(self)) }
    public init(journaled value: JSONValue) throws { self = Int(try Int64(journaled: value)) }
}

extension Double: WorkflowValue {
    public func journaled() throws -> JSONValue { try JSONValue.double(self).journaled() }
    public init(journaled value: JSONValue) throws {
        guard let number = value.doubleValue else { throw unfit(value, "a number") }
        self = number
    }
}

extension Timestamp: WorkflowValue {
    public func journaled() -> JSONValue { .int(millisecondsSinceEpoch) }
    public init(journaled value: JSONValue) throws {
        self.init(millisecondsSinceEpoch: try Int64(journaled: value))
    }
}

extension Optional: WorkflowValue where Wrapped: WorkflowValue {
    public func journaled() throws -> JSONValue { try map { try $0.journaled() } ?? .null }
    public init(journaled value: JSONValue) throws { self = value.isNull ? nil : try Wrapped(journaled: value) }
}

extension Array: WorkflowValue where Element: WorkflowValue {
    public func journaled() throws -> JSONValue { .array(try map { try $0.journaled() }) }
    public init(journaled value: JSONValue) throws {
        guard let values = value.arrayValue else { throw unfit(value, "a list") }
        self = try values.map { try Element(journaled: $0) }
    }
}

extension Dictionary: WorkflowValue where Key == String, Value: WorkflowValue {
    public func journaled() throws -> JSONValue { .object(try mapValues { try $0.journaled() }) }
    public init(journaled value: JSONValue) throws {
        guard let members = value.objectValue else { throw unfit(value, "an object") }
        self = try members.mapValues { try Value(journaled: $0) }
    }
}
