import Model

/// Stores the address of a hub and a key for it.
enum LoginCommand {
    static let command = CommandDeclaration(
        "login", "Remember a hub and an API key for it.",
        discussion: """
            The key is asked for without showing it, or read from standard input; it is never on a command line. So are,
            with --email, the password and the code of the second factor, a line each; the login then ends 12 hours
            after its last use. What was given out is stored in ~/.config/roost/profiles.json, which only you can read.
            """,
        parameters: [
            ParameterDeclaration("URL", "Address of the hub; \(Connection.defaultURL) when absent.", required: false)
        ],
        options: [
            OptionDeclaration("profile", placeholder: "NAME", "Name of the profile; \"default\" when absent."),
            OptionDeclaration(
                "email", placeholder: "EMAIL", "Log in as this user, with a password, instead of a key."),
            OptionDeclaration("request-timeout", placeholder: "SPAN", "Longest wait for one answer; 30s when absent."),
        ], run: login)

    static let logout = CommandDeclaration(
        "logout", "Forget a hub and its key.",
        options: [
            OptionDeclaration("profile", placeholder: "NAME", "Name of the profile; the current one when absent.")
        ],
        run: logout)

    private static func login(_ invocation: Invocation) async throws {
        let url = try Connection.checked(
            invocation.arguments.parameters["URL"] ?? invocation.environment["ROOST_URL"] ?? Connection.defaultURL)
        let name = invocation.arguments.value("profile") ?? "default"
        if let flaw = Names.slugFlaw(name) { throw UsageError("--profile \(flaw).", path: invocation.path) }
        let path = try Profiles.path(environment: invocation.environment)
        var profiles = try Profiles.read(path)
        let timeout = try invocation.span("request-timeout") ?? .seconds(30)
        let key: String
        if let email = invocation.arguments.value("email") {
            key = try await session(
                email, HubClient(connection: Connection(url: url, key: nil), requestTimeout: timeout), invocation)
        } else {
            key = try invocation.questions.secret("API key for \(url)")
        }
        if let flaw = Names.lineFlaw(key, bytesMax: 4096) { throw Problem(.invalid, "The key \(flaw).") }
        let client = HubClient(
            connection: Connection(url: url, key: key), requestTimeout: timeout)
        do {
            _ = try await client.get("/stacks", query: [("limit", "1")])
        } catch let problem as Problem where problem.code == .unauthenticated {
            throw Problem(.unauthenticated, "The hub does not know this key.", hint: "Nothing was stored.")
        } catch let problem as Problem where problem.code == .forbidden {
            // The key is known, and is for other things than stacks.
        }
        profiles.profiles[name] = Profiles.Profile(url: url, key: key)
        profiles.current = name
        try profiles.write(to: path)
        invocation.terminal.line("Logged in to \(url) as profile \(name).")
    }

    /// A token for a person, by password and, where the hub asks for one, a code.
    private static func session(_ email: String, _ client: HubClient, _ invocation: Invocation) async throws -> String {
        let password = try invocation.questions.secret("Password of \(email)")
        var body: JSONValue = ["email": .string(email), "password": .string(password), "bearer": true]
        let answer: HubAnswer
        do {
            answer = try await client.send("POST", "/login", body: body)
        } catch let problem as Problem where problem.code.rawValue == "totp_required" {
            body["code"] = .string(try invocation.questions.secret("Code"))
            answer = try await client.send("POST", "/login", body: body)
        }
        guard let token = answer.body["token"]?.stringValue else {
            throw Problem(.internalError, "The hub answered without a token.")
        }
        return token
    }

    private static func logout(_ invocation: Invocation) async throws {
        let path = try Profiles.path(environment: invocation.environment)
        var profiles = try Profiles.read(path)
        guard let name = invocation.arguments.value("profile") ?? profiles.current,
            profiles.profiles.removeValue(forKey: name) != nil
        else { throw Problem(.notFound, "There is no such profile.") }
        if profiles.current == name { profiles.current = profiles.profiles.keys.sorted().first }
        try profiles.write(to: path)
        invocation.terminal.line("Forgot profile \(name).")
    }
}
