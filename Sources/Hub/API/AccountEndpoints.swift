import HTTPTypes
import HubCore
import Hummingbird
import Model

/// Password and second factor of the user who asks.
extension HubAPI {
    func accountEndpoints() -> [Endpoint] {
        var enrol = Operation(
            id: "enrol-totp", tag: "session", summary: "Make a secret for an authenticator app; shown once.")
        enrol.body = ["type": "object", "additionalProperties": false]
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
            showAccount(), changePassword(),
            Endpoint(method: .post, path: path, access: .key, operation: enrol) {
                try $0.expectNoPlan()
                try hub.requireAccount($0.principal)
                try APIRequest.expectNoFields(in: try await $0.json(limit: 16_384))
                return Answers.json(try await hub.enrolSecondFactor(as: $0.principal))
            },
            Endpoint(method: .post, path: "\(path)/confirm", access: .key, operation: confirm) {
                Answers.json(try await hub.confirmSecondFactor(try await code($0), as: $0.principal))
            },
            Endpoint(method: .post, path: "\(path)/disable", access: .key, operation: disable) {
                try await hub.removeSecondFactor(try await code($0), as: $0.principal)
                return Answers.empty(.noContent)
            },
        ]
    }

    private func showAccount() -> Endpoint {
        var operation = Operation(id: "account", tag: "session", summary: "Show the user who asks.")
        operation.answers = [(200, Schema.reference("account"))]
        return Endpoint(method: .get, path: "\(Self.base)/account", access: .key, operation: operation) {
            Answers.json(try await hub.account(of: $0.principal))
        }
    }

    private func changePassword() -> Endpoint {
        var operation = Operation(
            id: "change-password", tag: "session",
            summary: "Change the password of the user who asks, and end the user's other sessions.")
        operation.body = Schema.reference("password-change")
        operation.isBodyRequired = true
        operation.answers = [(204, nil)]
        return Endpoint(method: .post, path: "\(Self.base)/account/password", access: .key, operation: operation) {
            request in
            try request.expectNoPlan()
            try hub.requireAccount(request.principal)
            let body = try await request.json(limit: 16_384)
            let names = ["current_password", "password"]
            for name in (body.objectValue ?? [:]).keys.sorted() where !names.contains(name) {
                throw Problem.invalid(String(name.prefix(80)), "is not a known field")
            }
            guard let current = body[names[0]]?.stringValue else { throw Problem.invalid(names[0], "must be a string") }
            guard let new = body[names[1]]?.stringValue else { throw Problem.invalid(names[1], "must be a string") }
            try await hub.changePassword(from: current, to: new, as: request.principal)
            return Answers.empty(.noContent)
        }
    }

    private func code(_ request: APIRequest) async throws -> String {
        try request.expectNoPlan()
        try hub.requireAccount(request.principal)
        let body = try await request.json(limit: 16_384)
        for name in (body.objectValue ?? [:]).keys.sorted() where name != "code" {
            throw Problem.invalid(String(name.prefix(80)), "is not a known field")
        }
        guard let code = body["code"]?.stringValue else { throw Problem.invalid("code", "must be a string") }
        return code
    }
}
