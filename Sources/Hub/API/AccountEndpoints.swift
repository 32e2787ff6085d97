import HTTPTypes
import HubCore
import Hummingbird
import Model

/// The second factor of the user who asks.
extension HubAPI {
    func accountEndpoints() -> [Endpoint] {
        var enrol = Operation(
            id: "enrol-totp", tag: "session", summary: "Make a secret for an authenticator app; shown once.")
        enrol.answers = [(200, Schema.reference("totp"))]
        var confirm = Operation(
            id: "confirm-totp", tag: "session",
            summary: "Turn the second factor on with a code of the new secret; answers recovery codes, shown once.")
        confirm.body = Schema.reference("code")
        confirm.isBodyRequired = true
        confirm.answers = [(200, Schema.reference("recovery-codes"))]
        var disable = Operation(
            id: "disable-totp", tag: "session", summary: "Turn the second factor off with one of its codes.")
        disable.body = Schema.reference("code")
        disable.isBodyRequired = true
        disable.answers = [(204, nil)]
        let path = "\(Self.base)/account/totp"
        return [
            Endpoint(method: .post, path: path, access: .key, operation: enrol) {
                Answers.json(try await hub.enrolSecondFactor(as: $0.principal))
            },
            Endpoint(method: .post, path: "\(path)/confirm", access: .key, operation: confirm) {
                Answers.json(try await hub.confirmSecondFactor(try await Self.code($0), as: $0.principal))
            },
            Endpoint(method: .post, path: "\(path)/disable", access: .key, operation: disable) {
                try await hub.removeSecondFactor(try await Self.code($0), as: $0.principal)
                return Answers.empty(.noContent)
            },
        ]
    }

    private static func code(_ request: APIRequest) async throws -> String {
        let body = try await request.json(limit: 16_384)
        for name in (body.objectValue ?? [:]).keys.sorted() where name != "code" {
            throw Problem.invalid(String(name.prefix(80)), "is not a known field")
        }
        guard let code = body["code"]?.stringValue else { throw Problem.invalid("code", "must be a string") }
        return code
    }
}
