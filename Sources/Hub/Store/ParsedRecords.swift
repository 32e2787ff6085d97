import Glibc
import Model
import Synchronization

/// Parsed members of records that were read lately. An entry is used only where the stored text is the same byte for
/// byte, so it can be neither stale nor of a transaction that was rolled back.
final class ParsedRecords: Sendable {
    struct Members {
        var spec: [String: JSONValue]
        var state: [String: JSONValue]
    }

    private struct Entry {
        var spec: String
        var state: String
        var members: Members
        var textBytes: Int { spec.utf8.count + state.utf8.count }
    }

    private struct State {
        var entries: [Int64: Entry] = [:]
        var textBytes = 0
    }

    private let state = Mutex(State())
    /// Of stored text that is kept; the parsed values take about four times as much.
    private static let textBytesMax = 8_388_608

    /// - Parameter seq: the row's number; any other number that is the record's own would do.
    /// - Returns: nil when one of the texts holds something else than an object.
    /// - Throws: `malformed_json`.
    func members(of seq: Int64, spec: String, state text: String) throws -> Members? {
        let known = state.withLock { $0.entries[seq] }
        let isSpecKnown = known.map { Self.isSame($0.spec, spec) } ?? false
        let isStateKnown = known.map { Self.isSame($0.state, text) } ?? false
        if let known, isSpecKnown, isStateKnown { return known.members }
        guard let newSpec = isSpecKnown ? known?.members.spec : try JSONParser.parse(spec).objectValue,
            let newState = isStateKnown ? known?.members.state : try JSONParser.parse(text).objectValue
        else { return nil }
        let members = Members(spec: newSpec, state: newState)
        keep(Entry(spec: spec, state: text, members: members), seq)
        return members
    }

    private func keep(_ entry: Entry, _ seq: Int64) {
        state.withLock { state in
            state.textBytes += entry.textBytes - (state.entries[seq]?.textBytes ?? 0)
            if state.textBytes > Self.textBytesMax {
                state.entries = [:]
                state.textBytes = entry.textBytes
            }
            state.entries[seq] = entry
        }
    }

    /// Equal bytes; `==` also takes texts for equal that Unicode calls equivalent.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        let count = left.utf8.count
        guard count == right.utf8.count else { return false }
        let isSame = left.utf8.withContiguousStorageIfAvailable { left in
            right.utf8.withContiguousStorageIfAvailable { right in
                count == 0 || memcmp(left.baseAddress!, right.baseAddress!, count) == 0
            }
        }
        return (isSame ?? nil) ?? left.utf8.elementsEqual(right.utf8)
    }
}
