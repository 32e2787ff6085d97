import HTTPTypes
import HubCore
import Model

/// Password and second factor of the person who is logged in.
extension DashboardSite {
    /// The form's own words for an enrolment that was begun on the page before.
    private struct Enrolment {
        var secret: String
        var uri: String
    }

    func account(_ visit: Visit) async throws -> PageAnswer {
        try await accountPage(visit)
    }

    private func accountPage(
        _ visit: Visit, enrolment: Enrolment? = nil, problem: Problem? = nil
    ) async throws -> PageAnswer {
        var model = try await hub.account(of: visit.principal).objectValue ?? [:]
        let why = problem.map { $0.fields.first.map { "\(FormFields.label($0.key)) \($0.value)." } ?? $0.message }
        model["error"] = why.json
        model["secret"] = (enrolment?.secret).json
        model["uri"] = (enrolment?.uri).json
        return page(
            "account", title: "Your account", section: "account", status: problem.map { Self.status(of: $0) } ?? .ok,
            visit, model)
    }

    /// What the forms of the account page do.
    func changeAccount(_ action: String, _ visit: Visit) async throws -> PageAnswer {
        let code = visit.form.line("code") ?? ""
        var enrolment: Enrolment?
        do {
            switch action {
            case "password":
                try await hub.changePassword(
                    from: visit.form["current_password"] ?? "", to: visit.form["password"] ?? "", as: visit.principal)
                return .seeOther("/account?done=password")
            case "totp":
                let begun = try await hub.enrolSecondFactor(as: visit.principal)
                return try await accountPage(
                    visit, enrolment: Enrolment(secret: begun.text("secret") ?? "", uri: begun.text("uri") ?? ""))
            case "totp-confirm":
                if let secret = visit.form.line("secret"), let uri = visit.form.line("uri"),
                    uri.hasPrefix("otpauth://")
                {
                    enrolment = Enrolment(secret: secret, uri: uri)
                }
                return recoveryCodes(try await hub.confirmSecondFactor(code, as: visit.principal), visit)
            case "totp-remove":
                try await hub.removeSecondFactor(code, as: visit.principal)
                return .seeOther("/account?done=done")
            default: throw Problem(.notFound, "There is no page at this address.")
            }
        } catch let problem as Problem where [Problem.Code.invalid, .conflict, .rateLimited].contains(problem.code) {
            return try await accountPage(visit, enrolment: enrolment, problem: problem)
        }
    }

    private func recoveryCodes(_ answer: JSONValue, _ visit: Visit) -> PageAnswer {
        let codes = answer["recovery_codes"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let heading = "The second factor is on"
        let reveal: JSONValue = [
            "id": "once-codes", "label": "Recovery codes", "value": .string(codes.joined(separator: "\n")),
            "hint": "Each logs you in once when the app is out of reach. Your other sessions have ended.",
        ]
        return page(
            "once", title: heading, section: "account", visit,
            ["heading": .string(heading), "reveals": [reveal], "next": "/account"])
    }
}
