import Glibc
import Model
import TestSupport
import Testing

@testable import CLI

@Suite("Which hub, and with which key")
struct ConnectionTests {
    /// A configuration folder of its own.
    private struct Home {
        private let folder = TemporaryFolder()
        var path: String { folder.path }
        var environment: [String: String] { ["XDG_CONFIG_HOME": path] }
    }

    private func options(_ values: [String: String]) -> Arguments {
        Arguments(options: values.mapValues { [$0] })
    }

    @Test("the environment wins over the profile, an option over both")
    func order() throws {
        let home = Home()
        var profiles = Profiles(current: "work")
        profiles.profiles = [
            "work": .init(url: "https://hub.example.org/", key: "k1"), "lab": .init(url: "http://lab:7600", key: "k2"),
        ]
        try profiles.write(to: try Profiles.path(environment: home.environment))
        let stored = try Connection.resolve(options([:]), environment: home.environment)
        #expect(stored == Connection(url: "https://hub.example.org", key: "k1"))
        let variables = home.environment.merging(["ROOST_URL": "http://a:1", "ROOST_API_KEY": "k3"]) { $1 }
        #expect(
            try Connection.resolve(options([:]), environment: variables) == Connection(url: "http://a:1", key: "k3"))
        let lab = try Connection.resolve(options(["profile": "lab"]), environment: variables)
        #expect(lab == Connection(url: "http://lab:7600", key: "k2"))
        #expect(throws: Problem.self) { try Connection.resolve(options(["profile": "none"]), environment: variables) }
    }

    @Test("a key goes to no other hub than the one it was stored for")
    func keyStaysHome() throws {
        let home = Home()
        let profiles = Profiles(current: "a", profiles: ["a": .init(url: "https://hub.example.org", key: "k1")])
        try profiles.write(to: try Profiles.path(environment: home.environment))
        let other = try Connection.resolve(options(["url": "http://evil.example"]), environment: home.environment)
        #expect(other.key == nil)
    }

    @Test("without anything it is the hub of this machine")
    func standard() throws {
        #expect(
            try Connection.resolve(options([:]), environment: [:]) == Connection(url: "http://127.0.0.1:7600", key: nil)
        )
    }

    @Test("the file is for its owner alone, and a readable one is refused")
    func mode() throws {
        let home = Home()
        let path = try Profiles.path(environment: home.environment)
        try Profiles(current: nil).write(to: path)
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        chmod(path, 0o644)
        let error = #expect(throws: Problem.self) { try Profiles.read(path) }
        #expect(error?.code == .forbidden)
    }

    @Test(
        "what is no URL of a hub is refused", arguments: ["hub", "ftp://a", "http://a b", "http://u:p@a", "http://a?x"])
    func urls(url: String) {
        #expect(throws: Problem.self) { try Connection.checked(url) }
    }
}
