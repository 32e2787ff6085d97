import Glibc
import Model

/// Hubs that someone logged in to: `~/.config/roost/profiles.json`, readable by its owner alone.
struct Profiles: Equatable {
    /// One hub and a key for it.
    struct Profile: Equatable {
        var url: String
        var key: String
    }

    private static let bytesMax = 1_048_576

    var current: String?
    var profiles: [String: Profile] = [:]

    /// Where the file is: `$XDG_CONFIG_HOME/roost`, or `~/.config/roost`.
    static func path(environment: [String: String]) throws(Problem) -> String {
        if let folder = environment["XDG_CONFIG_HOME"], folder.hasPrefix("/") { return "\(folder)/roost/profiles.json" }
        guard let home = environment["HOME"], home.hasPrefix("/") else {
            throw Problem(.invalid, "HOME is not set, so there is no place for profiles.")
        }
        return "\(home)/.config/roost/profiles.json"
    }

    /// Reads the file; no file is no profile.
    ///
    /// - Throws: `invalid` when the file is not what we write, `forbidden` when others can read the keys in it.
    static func read(_ path: String) throws(Problem) -> Profiles {
        var status = stat()
        guard lstat(path, &status) == 0 else { return Profiles() }
        guard status.st_mode & 0o077 == 0 else {
            throw Problem(.forbidden, "Others can read the keys in \(path).", hint: "chmod 600 \(path)")
        }
        let value = try JSONParser.parse(try LocalFiles.read(path, bytesMax: bytesMax))
        guard let members = value["profiles"]?.objectValue else {
            throw Problem(.invalid, "\(path) is damaged.", hint: "Remove it and run roost login again.")
        }
        var result = Profiles(current: value["current"]?.stringValue)
        for (name, profile) in members {
            guard let url = profile["url"]?.stringValue, let key = profile["key"]?.stringValue else { continue }
            result.profiles[name] = Profile(url: url, key: key)
        }
        return result
    }

    func write(to path: String) throws(Problem) {
        let members = profiles.mapValues { profile -> JSONValue in
            ["url": .string(profile.url), "key": .string(profile.key)]
        }
        let value: JSONValue = ["current": current.map { .string($0) } ?? .null, "profiles": .object(members)]
        try LocalFiles.writePrivate(value.prettyText() + "\n", to: path)
    }
}

/// Which hub a command talks to, and with which key: `--url` and `--profile`, then `ROOST_URL` and `ROOST_API_KEY`,
/// then the current profile, then the hub of this machine.
struct Connection: Equatable {
    static let defaultURL = "http://127.0.0.1:7600"

    var url: String
    var key: String?

    static func resolve(_ arguments: Arguments, environment: [String: String]) throws(Problem) -> Connection {
        let named = arguments.value("profile")
        let variableKey = environment["ROOST_API_KEY"].flatMap { $0.isEmpty ? nil : $0 }
        let variableURL = environment["ROOST_URL"].flatMap { $0.isEmpty ? nil : $0 }
        let givenURL = arguments.value("url") ?? (named == nil ? variableURL : nil)
        if named == nil, let variableKey, let givenURL {
            return Connection(url: try checked(givenURL), key: variableKey)
        }
        let profile = try currentProfile(environment, named: named)
        if named == nil, let variableKey {
            return Connection(url: try checked(profile?.url ?? defaultURL), key: variableKey)
        }
        let url = try checked(givenURL ?? profile?.url ?? defaultURL)
        // A key goes only to the hub that it was stored for.
        return Connection(url: url, key: profile.map { trimmed($0.url) == url } == true ? profile?.key : nil)
    }

    private static func currentProfile(
        _ environment: [String: String], named: String? = nil
    ) throws(Problem) -> Profiles.Profile? {
        guard named != nil || environment["HOME"] != nil || environment["XDG_CONFIG_HOME"] != nil else { return nil }
        let profiles = try Profiles.read(try Profiles.path(environment: environment))
        if let named {
            guard let profile = profiles.profiles[named] else {
                throw Problem(
                    .notFound, "There is no profile \(named).", hint: "Make one: roost login --profile \(named)")
            }
            return profile
        }
        return profiles.current.flatMap { profiles.profiles[$0] }
    }

    /// The URL without a trailing slash.
    static func checked(_ url: String) throws(Problem) -> String {
        guard url.hasPrefix("http://") || url.hasPrefix("https://"), Names.lineFlaw(url, bytesMax: 2048) == nil,
            !url.contains(" "), !url.contains("?"), !url.contains("#"), !url.contains("@")
        else {
            throw Problem(
                .invalid, "\(printable(String(url.prefix(200)))) is not the URL of a hub.",
                hint: "It looks like \(defaultURL) or https://roost.example.org.")
        }
        return trimmed(url)
    }

    private static func trimmed(_ url: String) -> String {
        var url = url
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }
}
