public import HubCore
public import Hummingbird
import Model

/// Adds the pages for browsers to the hub's router: everything that no more special route takes.
///
/// - Parameters:
///   - address: where a request comes from, for the audit log and the limit on failed logins.
/// - Throws: `internal_error` when a page template cannot be read.
public func addDashboard<Context: RequestContext>(
    to router: Router<Context>, hub: Hub, configuration: DashboardConfiguration,
    address: @escaping @Sendable (Request, Context) -> String
) throws {
    let site = try DashboardSite(hub: hub, configuration: configuration)
    for path in ["", "**"] as [RouterPath] {
        for method in [.get, .head, .post] as [HTTPRequest.Method] {
            router.on(path, method: method) { request, context in
                await site.respond(to: request, from: address(request, context))
            }
        }
    }
}
