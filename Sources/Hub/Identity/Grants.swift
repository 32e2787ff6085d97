import AccessResources
import HubStore
import Model
import ResourceKit

extension Hub {
    /// What a user of a role may do. Operators run everything but access itself.
    func scopes(ofRole role: String) -> Set<String> {
        switch role {
        case "admin": ["*:*"]
        case "operator":
            Set(
                ["*:read"]
                    + kinds.filter { $0.name != "api-key" && $0.name != "user" }
                    .flatMap { ["\($0.plural):write", "\($0.plural):delete"] } + ["\(Self.runsPlural):write"])
        case "viewer": ["*:read"]
        default: []
        }
    }

    /// What scopes name besides kinds.
    public static let scopeWords: Set<String> = ["audit-logs", "dashboard", "events", "logs", "search", runsPlural]

    /// Whether each scope that is named anew is one of something: a misspelt one would be found when the key is used.
    /// - Parameter old: the spec before; what it holds may be of a kind that is gone.
    func checkScopes(_ kind: ResourceKind, _ spec: [String: JSONValue], known old: [String: JSONValue]) throws {
        guard kind.name == "api-key" else { return }
        let words = Self.scopeWords.union(kinds.map(\.plural)).union(["*"])
        let known = old["scopes"]?.arrayValue ?? []
        var flaws = FieldFlaws()
        for (index, scope) in (spec["scopes"]?.arrayValue ?? []).enumerated() where !known.contains(scope) {
            let word = APIKey.inHyphens(scope.stringValue ?? "").prefix { $0 != ":" }
            if !words.contains(String(word)) { flaws.add("scopes[\(index)]", "names no kind of resource") }
        }
        if let problem = flaws.problem { throw problem }
    }

    /// Nobody may hand out more than they have.
    func checkGrant(_ kind: ResourceKind, _ spec: [String: JSONValue], _ principal: Principal) throws {
        let granted: Set<String>
        switch kind.name {
        case "api-key":
            granted = Set(spec["scopes"]?.arrayValue?.compactMap(\.stringValue).map(APIKey.inHyphens) ?? [])
        case "user": granted = scopes(ofRole: spec["role"]?.stringValue ?? "")
        default: return
        }
        for scope in granted.sorted() where !principal.covers(scope) {
            throw Problem(.forbidden, "You cannot give the scope \(scope), because you do not have it.")
        }
        let brands = Self.brands(spec["brands"])
        guard principal.brands == .all || brands == .only([]) else {
            guard case .only(let given) = brands, case .only(let own) = principal.brands,
                given.allSatisfy(own.contains)
            else { throw Problem(.forbidden, "You cannot give access to brands that you may not touch.") }
            return
        }
    }
}

extension Principal {
    /// Whether everything that a scope allows is allowed to this caller.
    func covers(_ scope: String) -> Bool {
        if scopes.contains("*:*") || scopes.contains(scope) { return true }
        let parts = scope.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return false }
        return scopes.contains("\(parts[0]):*") || scopes.contains("*:\(parts[1])")
    }
}
