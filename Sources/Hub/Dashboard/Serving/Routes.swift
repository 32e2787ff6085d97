import HubCore
import Model
import ResourceKit

extension DashboardSite {
    /// The page at an address.
    func page(_ visit: Visit) async throws -> PageAnswer {
        switch visit.path.count {
        case 0: return try await overview(visit)
        case 1:
            switch visit.path[0] {
            case "live": return live(visit)
            case "log": return try await log(visit)
            case "account": return try await account(visit)
            case "logs": return try await logLines(visit)
            case "events": return try await events(visit)
            case "audit-logs": return try await audit(visit)
            case "search": return try await search(visit)
            case RunPages.section: return try await runs(visit)
            case "servers": return .seeOther("/nodes")
            case "theme", "logout": return .seeOther("/")
            default: break
            }
        case 2 where visit.path[0] == RunPages.section: return try await run(visit.path[1], visit)
        default: break
        }
        let kind = try kind(visit)
        switch visit.path.dropFirst() {
        case [] where kind.singletonPath != nil: return try await genericShow(kind, kind.name, visit)
        case []: return kind.name == "node" ? try await nodes(visit) : try await list(kind, visit)
        case ["new"]: return try await newForm(kind, visit)
        case let rest where rest.count == 1: return try await show(kind, visit.path[1], visit)
        case let rest where rest.last == "edit" && rest.count == 2:
            return try await editForm(kind, visit.path[1], visit)
        case let rest where rest.last == "delete" && rest.count == 2:
            return try await confirmDelete(kind, visit.path[1], visit)
        case let rest where rest.count == 2:
            return try await confirmAction(try action(visit.path[2], of: kind), kind, visit.path[1], visit)
        default: throw unknownPage(visit)
        }
    }

    /// What a form does.
    func submit(_ visit: Visit) async throws -> PageAnswer {
        switch visit.path {
        case ["theme"]: return setTheme(visit)
        case ["logout"]: return try await logOut(visit)
        case let path where path.count == 2 && path[0] == "account": return try await changeAccount(path[1], visit)
        case let path where path.count == 3 && path[0] == RunPages.section:
            return try await changeRun(path[1], path[2], visit)
        default: break
        }
        let kind = try kind(visit)
        switch visit.path.dropFirst() {
        case []: return try await create(kind, visit)
        case let rest where rest.last == "edit" && rest.count == 2: return try await update(kind, visit.path[1], visit)
        case let rest where rest.last == "delete" && rest.count == 2:
            return try await delete(kind, visit.path[1], visit)
        case let rest where rest.count == 2:
            return try await perform(try action(visit.path[2], of: kind), kind, visit.path[1], visit)
        default: throw unknownPage(visit)
        }
    }

    private func show(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        switch kind.name {
        case "stack": try await stack(kind, id, visit)
        case "service": try await service(kind, id, visit)
        case "deployment": try await deployment(kind, id, visit)
        case "node": try await node(kind, id, visit)
        case "site": try await site(kind, id, visit)
        default: try await genericShow(kind, id, visit)
        }
    }

    private func kind(_ visit: Visit) throws -> ResourceKind {
        guard let plural = visit.path.first, let kind = hub.kinds.first(where: { $0.plural == plural }) else {
            throw unknownPage(visit)
        }
        return kind
    }

    private func action(_ name: String, of kind: ResourceKind) throws -> ResourceAction {
        guard let action = kind.allActions.first(where: { $0.name == name }) else {
            throw Problem(.notFound, "A \(GenericPages.title(kind)) has no action \"\(name.prefix(60))\".")
        }
        return action
    }

    private func unknownPage(_ visit: Visit) -> Problem {
        Problem(.notFound, "There is no page at this address.")
    }
}
