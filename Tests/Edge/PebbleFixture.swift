import AsyncHTTPClient
import Certificates
import Edge
import Glibc
import Host
import LinuxHost
import Model
import NIOSSL
import Synchronization
import TestSupport

/// A certificate authority of its own (Let's Encrypt's pebble), a name server that says 127.0.0.1 to all questions, and
/// an edge that answers the challenges.
struct PebbleFixture {
    let edge: EdgeFixture
    let directoryURL: String
    let dnsPort: Int
    let rootPath: String
    /// Of the name server, to set what it says.
    let managementPort: Int
    let client: HTTPClient
    let folder: String

    /// - Parameter nonceRejections: of a hundred nonces, how many the authority refuses.
    static func with(
        nonceRejections: Int = 20, _ body: @Sendable (PebbleFixture) async throws -> Void
    ) async throws {
        try await EdgeFixture.with { edge in
            let folder = edge.folder + "/pebble"
            mkdir(folder, 0o700)
            mkdir(edge.folder + "/challenges", 0o700)
            let ports = try FreePorts.take(4)
            let (certificate, key) = (folder + "/pebble.crt", folder + "/pebble.key")
            try makeAuthority(certificate, key)
            try writeFile(
                folder + "/pebble.json",
                """
                {"pebble":{"listenAddress":"127.0.0.1:\(ports[0])","managementListenAddress":"127.0.0.1:\(ports[1])",
                "certificate":"\(certificate)","privateKey":"\(key)",
                "httpPort":\(edge.port),"tlsPort":1,"ocspResponderURL":"","externalAccountBindingRequired":false}}
                """)
            let names = try spawn(
                "/usr/bin/pebble-challtestsrv",
                [
                    "-management", "127.0.0.1:\(ports[3])", "-dns01", "127.0.0.1:\(ports[2])", "-http01", "",
                    "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "",
                ])
            let pebble = try spawn(
                "/usr/bin/env",
                [
                    "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=\(nonceRejections)", "PEBBLE_AUTHZREUSE=0",
                    "/usr/bin/pebble", "-config", folder + "/pebble.json", "-dnsserver", "127.0.0.1:\(ports[2])",
                ])
            defer {
                for process in [pebble, names] {
                    kill(process, SIGKILL)
                    waitpid(process, nil, 0)
                }
            }
            let client = makeClient(trusting: certificate)
            let root = folder + "/root.pem"
            let url = "https://localhost:\(ports[1])/roots/0"
            let started = try await eventually(.seconds(20)) {
                try await blocking {
                    try runForStatus(
                        "/usr/bin/curl", ["-fs", "--cacert", certificate, "-o", root, url]
                    ).status == 0
                }
            }
            guard started else { throw SocketFailure("pebble did not start") }
            let fixture = PebbleFixture(
                edge: edge, directoryURL: "https://localhost:\(ports[0])/dir", dnsPort: ports[2], rootPath: root,
                managementPort: ports[3], client: client, folder: edge.folder + "/certificates")
            do {
                try await body(fixture)
            } catch {
                try await client.shutdown()
                throw error
            }
            try await client.shutdown()
        }
    }

    private static func makeClient(trusting certificate: String) -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.tlsConfiguration = .makeClientConfiguration()
        configuration.tlsConfiguration?.trustRoots = .file(certificate)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// An authority of its own, since it is trusted as one.
    private static func makeAuthority(_ certificate: String, _ key: String) throws {
        let made = try runForStatus(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
            ])
        guard made.status == 0 else { throw SocketFailure("openssl: \(made.text)") }
    }

    /// A keeper over the fixture's folder; another one over the same folder is its successor after a restart.
    func keeper(
        _ clock: ShiftedClock, gate: any EffectGate = OpenGate(), dns: (any DNSChallenges)? = nil,
        challengeFolder: String? = nil, directoryURL: String? = nil, contacts: [String] = ["a@roost.test"],
        transport: (any ACMETransport)? = nil
    ) -> CertificateKeeper {
        CertificateKeeper(
            folder: folder, challengeFolder: challengeFolder ?? edge.folder + "/challenges",
            host: CertificateHost(files: LiveFiles(), clock: clock, random: LiveRandom(), effects: gate),
            authority: CertificateAuthority(
                directoryURL: directoryURL ?? self.directoryURL, contacts: contacts,
                transport: transport ?? HTTPACMETransport(client: client), dns: dns))
    }
}

/// The machine's time and then some.
final class ShiftedClock: HostClock {
    private let shift = Mutex(Duration.zero)

    func now() -> Timestamp { LiveClock().now().advanced(by: shift.withLock { $0 }) }
    func monotonic() -> Duration { LiveClock().monotonic() }
    func sleep(for duration: Duration) async throws { try await LiveClock().sleep(for: duration) }

    func advance(to time: Timestamp) {
        let missing = time.since(now())
        if missing > .zero { shift.withLock { $0 += missing + .milliseconds(1) } }
    }
}

/// Notes what an authority is told on the way there.
final class ToldAuthority: ACMETransport {
    private let inner: any ACMETransport
    private let bodies = Mutex<[String]>([])

    init(_ inner: any ACMETransport) { self.inner = inner }

    /// The contacts of each request that had any, as JSON.
    var contacts: [String] { bodies.withLock { $0 } }

    func send(_ url: String, body: [UInt8]?) async throws -> ACMEReply {
        if let body, let payload = try JSONParser.parse(body)["payload"]?.stringValue {
            let told = payload.isEmpty ? nil : try JSONParser.parse(Self.decoded(payload))["contact"]
            if let told { bodies.withLock { $0.append(told.canonicalText) } }
        }
        return try await inner.send(url, body: body)
    }

    /// Base64url without padding (RFC 7515 section 2).
    private static func decoded(_ text: String) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var (bytes, bits, count): ([UInt8], UInt32, Int) = ([], 0, 0)
        for byte in text.utf8 {
            bits = bits << 6 | UInt32(alphabet.firstIndex(of: byte) ?? 0)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        return bytes
    }
}

/// Counts effects by label, and cuts the power at one of them: nothing happens any more after that.
final class CuttingGate: EffectGate {
    struct Cut: Error {}

    private struct State {
        var points = 0
        var labels: [String] = []
    }

    private let state = Mutex(State())
    private let cutAt: Int

    /// - Parameter cutAt: the number of the point, of which each effect has two, from which on nothing happens.
    init(cutAt: Int = .max) { self.cutAt = cutAt }

    var labels: [String] { state.withLock { $0.labels } }
    var wasCut: Bool { state.withLock { $0.points > cutAt } }

    func before(_ label: EffectLabel) async throws {
        try point()
        state.withLock { $0.labels.append(label.text) }
    }

    func after(_ label: EffectLabel) async throws { try point() }

    private func point() throws {
        let isCut = state.withLock { state in
            state.points += 1
            return state.points > cutAt
        }
        if isCut { throw Cut() }
    }
}
