import HTTPTypes
import HubCore
import HubStore
import Hummingbird
import Model

extension HubAPI {
    func healthEndpoints() -> [Endpoint] {
        var alive = Operation(id: "healthz", tag: "health", summary: "Whether the hub runs.")
        alive.answers = [(200, ["type": "object"])]
        var ready = Operation(
            id: "readyz", tag: "health", summary: "Whether the hub can answer: its store can be read.")
        ready.answers = [(200, ["type": "object"])]
        var numbers = Operation(id: "metrics", tag: "health", summary: "Figures for Prometheus.")
        numbers.isHidden = true
        var key = Operation(
            id: "callback-key", tag: "health", summary: "The Ed25519 key, base64, that callbacks are signed with.")
        key.answers = [(200, ["type": "object"])]
        let publicKey = JSONValue.string(options.hubPublicKey)
        return [
            Endpoint(method: .get, path: "\(Self.base)/callback-key", access: .anyone, operation: key) { _ in
                Answers.json(["algorithm": "ed25519", "public_key": publicKey])
            },
            Endpoint(method: .get, path: "/healthz", access: .anyone, operation: alive) { _ in
                Answers.json(["status": "ok"])
            },
            Endpoint(method: .get, path: "/readyz", access: .anyone, operation: ready) { _ in
                _ = try await hub.read { try $0.cell("health", "ready") }
                return Answers.json(["status": "ok"])
            },
            Endpoint(method: .get, path: "/metrics", access: .anyone, operation: numbers) { request in
                Answers.text(
                    try await metricsText(request), type: "text/plain; version=0.0.4; charset=utf-8",
                    headers: [.cacheControl: "no-store"])
            },
        ]
    }

    /// Figures of the program for everybody; counts of resources for those who may see them.
    private func metricsText(_ request: APIRequest) async throws -> String {
        var text = metrics.text(subscribers: hub.changes.subscriberCount)
        guard Self.apiKey(in: request.request) != nil || Self.sessionToken(in: request.request) != nil else {
            return text
        }
        let principal = try await principal(of: request.request, request.address)
        let stats = try await hub.stats(as: principal)
        text += "# HELP roost_resources Resources by kind and status.\n# TYPE roost_resources gauge\n"
        for (kind, statuses) in (stats["kinds"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
            for (status, count) in (statuses.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) where status != "total"
            {
                text += "roost_resources{kind=\"\(kind)\",status=\"\(status)\"} \(count.intValue ?? 0)\n"
            }
        }
        return text
    }
}
