import HTTPTypes
import Host
import HubCore
import HubStore
import Logging
import Model
import ResourceKit

/// A step of the trail above a page.
struct Crumb: Sendable {
    var label: String
    var path: String?
}

extension DashboardSite {
    /// What every document needs.
    func documentModel(title: String, theme: String, topics: [String]) -> [String: JSONValue] {
        [
            "title": .string(title), "style_path": .string(assets.style.path),
            "script_path": .string(assets.script.path),
            "icon_path": .string(assets.icon.path), "now": .string(hub.world.clock.now().rfc3339),
            "topics": .string(topics.joined(separator: " ")), "theme_forced": theme == "auto" ? .null : .string(theme),
        ]
    }

    /// A page with navigation.
    ///
    /// - Parameters:
    ///   - topics: kinds of changes that the page shows; none for a page that stays as it is.
    func page(
        _ template: String, title: String, section: String, crumbs: [Crumb] = [], topics: [String] = [],
        status: HTTPResponse.Status = .ok, _ visit: Visit, _ model: [String: JSONValue]
    ) -> PageAnswer {
        let next = Self.themes[((Self.themes.firstIndex(of: visit.theme) ?? 0) + 1) % Self.themes.count]
        let more = managed(visit, section)
        var frame = documentModel(title: title, theme: visit.theme, topics: topics)
        frame.merge([
            "navigation": .array(primary(visit, section)), "more_navigation": .array(more),
            "has_more_navigation": .bool(!more.isEmpty), "who": .string(visit.principal.name),
            "has_account": .bool(visit.principal.name.hasPrefix("user:")),
            "csrf": .string(visit.session.csrfToken), "here": .string(visit.here), "theme": .string(visit.theme),
            "theme_next": .string(next), "has_crumbs": .bool(!crumbs.isEmpty), "query": visit.asked("q").json,
            "crumbs": .array(crumbs.map { ["label": .string($0.label), "path": $0.path.json] }),
            "flash": flash(visit.query["done"]),
        ]) { $1 }
        return .html(templates.render(template, frame.merging(model) { $1 }), status: status)
    }

    /// Whether the reader may see a kind at all.
    func maySee(_ kind: ResourceKind, _ visit: Visit) -> Bool { may("read", kind, visit) }

    func may(_ action: String, _ kind: ResourceKind, _ visit: Visit) -> Bool {
        visit.principal.may(action, kind.plural) && (!kind.isPlatformOnly || visit.principal.brands == .all)
    }

    private func primary(_ visit: Visit, _ section: String) -> [JSONValue] {
        var entries: [(String, String)] = [("", "Overview")]
        for name in ["stack", "service", "site", "node"] {
            if let kind = hub.kind(name), maySee(kind, visit) {
                entries.append(
                    (
                        kind.plural,
                        GenericPages.pluralTitle(kind)
                    ))
            }
        }
        if visit.principal.may("read", "events"), visit.principal.brands == .all {
            entries.append(
                (
                    "events",
                    "Events"
                ))
        }
        if visit.principal.may("read", "logs") { entries.append(("logs", "Logs")) }
        return entries.map { path, label in entry(path, label, section) }
    }

    /// Every other kind that stands on its own, so that a new one appears by itself.
    private func managed(_ visit: Visit, _ section: String) -> [JSONValue] {
        let shown: Set<String> = ["stack", "service", "site", "node", "deployment"]
        var entries = hub.kinds
            .filter { !shown.contains($0.name) && ($0.verbs.contains(.list) || $0.singletonPath != nil) }
            .filter { maySee($0, visit) }
            .map { ($0.plural, GenericPages.pluralTitle($0)) }
        if mayReadRuns(visit) { entries.append((RunPages.section, "Runs")) }
        if visit.principal.may("read", "audit-logs"), visit.principal.brands == .all {
            entries.append(("audit-logs", "Audit log"))
        }
        return entries.map { entry($0.0, $0.1, section) }
    }

    private func entry(_ path: String, _ label: String, _ section: String) -> JSONValue {
        ["path": .string("/\(path)"), "label": .string(label), "is_current": .bool(path == section)]
    }

    /// What was just done; the address holds only a word of this list.
    private func flash(_ word: String?) -> JSONValue {
        let texts: [String: (String, String)] = [
            "saved": ("ok", "Saved."), "created": ("ok", "Created."), "deleted": ("ok", "Deleted."),
            "unchanged": ("idle", "Nothing was changed, so nothing was saved."), "done": ("ok", "Done."),
            "password": ("ok", "The password was changed; your other sessions have ended."),
            "restart": ("ok", "Restarting without a gap: the new instances take over when they are healthy."),
            "retry": ("ok", "Trying again."),
            "current": ("idle", "The newest commit is deployed already, so nothing was started."),
        ]
        guard let word, let (tone, text) = texts[word] else { return .null }
        return ["tone": .string(tone), "text": .string(text)]
    }

    // MARK: Problems

    static func status(of problem: Problem) -> HTTPResponse.Status {
        switch problem.code {
        case .unauthenticated, .totpRequired: .unauthorized
        case .forbidden: .forbidden
        case .notFound: .notFound
        case .conflict: .conflict
        case .stale: .preconditionFailed
        case .tooLarge: .contentTooLarge
        case .rateLimited: .tooManyRequests
        case .storage, .unavailable: .serviceUnavailable
        case .internalError: .internalServerError
        default: .badRequest
        }
    }

    private static func heading(_ problem: Problem) -> String {
        switch problem.code {
        case .notFound: "There is nothing here"
        case .forbidden: "That is not allowed"
        case .conflict, .stale: "That does not fit the present state"
        case .rateLimited: "Too many at once"
        case .storage, .unavailable: "Roost cannot do that at the moment"
        case .internalError: "Something went wrong inside Roost"
        default: "That did not work"
        }
    }

    func problemPage(_ problem: Problem, _ visit: Visit?) -> PageAnswer {
        if problem.code == .internalError || problem.code == .storage {
            hub.logger.error(
                "A page could not be made.",
                metadata: ["problem": "\(problem)", "context": "\(problem.context ?? "")"])
        }
        let status = Self.status(of: problem)
        guard let visit else {
            var answer = PageAnswer.text("\(problem)\n")
            answer.status = status
            return answer
        }
        let hint =
            problem.hint
            ?? (problem.code == .notFound
                ? "It may have been deleted, or the address is wrong." : nil)
        return page(
            "problem", title: Self.heading(problem), section: "-", status: status, visit,
            [
                "heading": .string(Self.heading(problem)), "message": .string(problem.message), "hint": hint.json,
                "back": .null,
            ])
    }
}
