import HTTPTypes
import HubCore
import Model

extension DashboardSite {
    func loginPage(
        next: String?, email: String? = nil, ticket: String? = nil, problem: Problem? = nil
    ) -> PageAnswer {
        let model = documentModel(title: "Log in", theme: "auto", topics: []).merging([
            "next": next.json, "email": email.json, "ticket": ticket.json, "error": (problem?.message).json,
            "info": .null,
        ]) { $1 }
        var answer = PageAnswer.html(templates.render("login", model))
        if let problem {
            answer.status = Self.status(of: problem)
            if let wait = problem.retryAfter { answer.headers[.retryAfter] = String(wait.milliseconds / 1000 + 1) }
        }
        return answer
    }

    func logIn(_ form: FormBody, _ address: String) async throws -> PageAnswer {
        let next = form.line("next")
        do {
            let session: Session
            if let ticket = form.line("ticket") {
                session = try await secondStep(ticket, form, address)
            } else if let key = form.line("key") {
                session = try await hub.loginWithKey(key, address: address)
            } else if let email = form.line("email"), let password = form["password"] {
                session = try await hub.login(email: email, password: password, address: address)
            } else {
                throw Problem(.unauthenticated, "Enter an API key, or an email and a password.")
            }
            var answer = PageAnswer.seeOther(next ?? "/")
            answer.headers[.setCookie] = cookie(session.token)
            return answer
        } catch let problem as Problem where problem.code == .totpRequired {
            let ticket = try await hub.secondStepTicket(email: form.line("email") ?? "")
            return loginPage(next: next, email: form.line("email"), ticket: ticket)
        } catch let problem as Problem where problem.code == .unauthenticated && form.line("ticket") != nil {
            let isOver = problem.hint != nil
            return loginPage(next: next, ticket: isOver ? nil : form.line("ticket"), problem: problem)
        } catch let problem as Problem where problem.code != .internalError {
            return loginPage(next: next, email: form.line("email"), problem: problem)
        }
    }

    private func secondStep(_ ticket: String, _ form: FormBody, _ address: String) async throws -> Session {
        try await hub.login(ticket: ticket, code: form.line("code") ?? "", address: address)
    }

    private func cookie(_ token: String) -> String {
        "\(cookieName)=\(token); Path=/; HttpOnly; SameSite=Lax\(configuration.isTLS ? "; Secure" : "")"
    }

    func logOut(_ visit: Visit) async throws -> PageAnswer {
        try await hub.logout(visit.session.token, address: visit.principal.address)
        var answer = PageAnswer.seeOther("/login")
        answer.headers[.setCookie] = cookie("") + "; Max-Age=0"
        return answer
    }

    func setTheme(_ visit: Visit) -> PageAnswer {
        let asked = visit.form["theme"] ?? ""
        let theme = Self.themes.contains(asked) ? asked : "auto"
        var answer = PageAnswer.seeOther(visit.form["back"] ?? "/")
        answer.headers[.setCookie] =
            "roost_theme=\(theme); Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly"
            + (configuration.isTLS ? "; Secure" : "")
        return answer
    }
}
