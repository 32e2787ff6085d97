import Edge
import Glibc
import Model
import Testing

@Suite(.serialized, .exclusive)
struct TLSTests {
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test(arguments: ["--http1.1", "--http2"])
    func choosesTheCertificateByName(version: String) async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering(Self.answer))
        try await EdgeFixture.with { edge in
            let exact = try TestCertificate(["a.test", "b.test"], folder: edge.folder, file: "ab")
            let wild = try TestCertificate(["*.w.test"], folder: edge.folder, file: "wild")
            var table = EdgeTable.single(upstream.port)
            table.certificates = [wild.entry, exact.entry]
            try await edge.control.apply(table)
            let cases = [
                ("a.test", exact.entry.certificatePath), ("b.test", exact.entry.certificatePath),
                ("c.w.test", wild.entry.certificatePath), ("localhost", edge.folder + "/fallback.crt"),
            ]
            for (host, certificate) in cases {
                let page = try await edge.curl(host, trusting: certificate, version)
                #expect(page.text == "ok" && page.status == 0, "\(host)")
            }
            for (host, certificate) in [
                ("a.test", wild.entry.certificatePath), ("x.c.w.test", wild.entry.certificatePath),
                ("w.test", wild.entry.certificatePath),
            ] {
                let page = try await edge.curl(host, trusting: certificate, version)
                #expect(page.status == 60, "\(host) must not be trusted")
            }
            let statuses = try #require(try await edge.control.status().certificates)
            #expect(statuses.map(\.names) == [["*.w.test"], ["a.test", "b.test"]])
            #expect(statuses.allSatisfy { $0.problem == nil && $0.notAfter != nil })
        }
    }

    @Test func saysThatTheClientCameOverTLS() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let fallback = edge.folder + "/fallback.crt"
            let page = try await edge.curl("localhost", "/x", trusting: fallback, "--http1.1")
            #expect(page.text == "GET /x HTTP/1.1|0")
            #expect(upstream.requests.first?.fields("x-forwarded-proto") == ["https"])
            var info = stat()
            #expect(stat(edge.folder + "/fallback.key", &info) == 0 && info.st_mode & 0o777 == 0o600)
        }
    }

    @Test func aNewCertificateLeavesOpenConnectionsAlone() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with { edge in
            let former = try TestCertificate(["a.test"], folder: edge.folder, file: "former")
            let next = try TestCertificate(["a.test"], folder: edge.folder, file: "next")
            var table = EdgeTable.single(upstream.port)
            table.certificates = [former.entry]
            try await edge.control.apply(table)
            // Asks, waits until the other certificate is shown to a second connection, and asks again on the first.
            let script = """
                import socket, ssl, sys, time
                port, former, following = int(sys.argv[1]), sys.argv[2], sys.argv[3]
                def connect(trusted):
                    context = ssl.create_default_context(cafile=trusted)
                    return context.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='a.test')
                def ask(s):
                    s.sendall(b'GET / HTTP/1.1\\r\\nHost: a.test\\r\\n\\r\\n')
                    return s.recv(4096).split(b'\\r\\n')[0]
                first = connect(former)
                print(ask(first)); open(former + '.asked', 'w').close()
                end = time.time() + 20
                while time.time() < end:
                    try: second = connect(following); break
                    except ssl.SSLError: time.sleep(0.05)
                print(ask(second)); print(ask(first))
                """
            async let client = edge.python(script, former.entry.certificatePath, next.entry.certificatePath)
            let asked = former.entry.certificatePath + ".asked"
            #expect(try await eventually(.seconds(20)) { access(asked, F_OK) == 0 })
            table.certificates = [next.entry]
            try await edge.control.apply(table)
            let result = try await client
            #expect(result.text == String(repeating: "b'HTTP/1.1 200 OK'\n", count: 3))
        }
    }

    @Test func aBadCertificateTakesNothingElseDown() async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering(Self.answer))
        try await EdgeFixture.with { edge in
            let (folder, first) = (edge.folder, try TestCertificate(["a.test"], folder: edge.folder, file: "a"))
            let other = try TestCertificate(["b.test"], folder: folder, file: "b")
            var table = EdgeTable.single(upstream.port)
            table.certificates = [first.entry, other.entry]
            try await edge.control.apply(table)
            try writeFile(folder + "/garbage.crt", "not a certificate")
            let open = try TestCertificate(["a.test"], folder: folder, file: "open")
            chmod(open.entry.keyPath, 0o644)
            let bad = [
                EdgeCertificate(names: ["a.test"], certificatePath: folder + "/none.crt", keyPath: other.entry.keyPath),
                EdgeCertificate(
                    names: ["a.test"], certificatePath: folder + "/garbage.crt", keyPath: first.entry.keyPath),
                EdgeCertificate(
                    names: ["a.test"], certificatePath: first.entry.certificatePath, keyPath: other.entry.keyPath),
                open.entry,
            ]
            for entry in bad {
                table.certificates = [entry, other.entry]
                try await edge.control.apply(table)
                let statuses = try #require(try await edge.control.status().certificates)
                #expect(statuses[0].problem != nil && statuses[1].problem == nil, "\(entry.certificatePath)")
                for certificate in [first, other] {
                    let page = try await edge.curl(
                        certificate.entry.names[0], trusting: certificate.entry.certificatePath)
                    #expect(page.text == "ok", "\(entry.certificatePath)")
                }
            }
            // The same table again, with the file put right.
            chmod(open.entry.keyPath, 0o600)
            try await edge.control.apply(table)
            #expect(try await edge.control.status().certificates?[0].problem == nil)
            let page = try await edge.curl("a.test", trusting: open.entry.certificatePath)
            #expect(page.text == "ok")
        }
    }

    @Test func speaksOnlyModernTLS() async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering(Self.answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let script = """
                import socket, ssl, sys, warnings
                warnings.simplefilter('ignore')
                def attempt(version, ciphers, session=None):
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    context.minimum_version = context.maximum_version = version
                    context.set_ciphers(ciphers)
                    try:
                        s = context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))))
                        return s.version() + ' ' + s.cipher()[0].split('-')[0].split('_')[0]
                    except (ssl.SSLError, OSError) as error: return 'refused'
                V = ssl.TLSVersion
                print(attempt(V.TLSv1, 'ALL:@SECLEVEL=0'), attempt(V.TLSv1_1, 'ALL:@SECLEVEL=0'), sep=',', end=',')
                print(attempt(V.TLSv1_2, 'AES128-SHA:AES128-GCM-SHA256'), attempt(V.TLSv1_2, 'ECDHE+AESGCM'),
                      attempt(V.TLSv1_3, 'ALL'), sep=',')
                """
            let result = try await edge.python(script)
            #expect(result.text == "refused,refused,refused,TLSv1.2 ECDHE,TLSv1.3 TLS\n")
        }
    }

    @Test func resumesSessions() async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering(Self.answer))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let script = """
                import socket, ssl, sys
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    context.minimum_version = context.maximum_version = version
                    session = None
                    for attempt in range(4):
                        raw = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
                        s = context.wrap_socket(raw, server_hostname='localhost', session=session)
                        s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); s.recv(4096)
                        print(s.session_reused, end=' ')
                        session = s.session; s.close()
                """
            let result = try await edge.python(script)
            #expect(result.text == "False True True True False True True True ")
        }
    }

    @Test func handshakesAreLimitedInTimeAndNumber() async throws {
        var limits = EdgeLimits()
        limits.handshakeTimeout = .seconds(2)
        limits.handshakesMax = 3
        let upstream = try RawUpstream(script: RawUpstream.answering(Self.answer))
        try await EdgeFixture.with(.single(upstream.port), limits: limits) { edge in
            let port = edge.tlsPort
            try await blocking {
                // More than all loops together take; each is either closed at once or after its time.
                let silent = try (0..<400).map { _ in try RawSocket(port: port) }
                // The beginning of a hello that never ends.
                try silent[0].send([0x16, 3, 1, 2, 0, 1])
                for socket in silent {
                    let rest = try socket.receive()
                    #expect(rest.isEmpty)
                }
            }
            let page = try await edge.curl("localhost", trusting: edge.folder + "/fallback.crt")
            #expect(page.text == "ok")
        }
    }

    @Test func garbageInsteadOfAHelloIsRefused() async throws {
        var limits = EdgeLimits()
        limits.handshakeTimeout = .seconds(1)
        let upstream = try RawUpstream(script: RawUpstream.answering(Self.answer))
        try await EdgeFixture.with(.single(upstream.port), limits: limits) { edge in
            let port = edge.tlsPort
            try await blocking {
                for bytes in [
                    Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), [UInt8](repeating: 0, count: 2000),
                    [0x16, 3, 1, 0xFF, 0xFF] + [UInt8](repeating: 1, count: 20_000),
                ] {
                    let socket = try RawSocket(port: port)
                    // The edge may hang up in the middle of it.
                    try? socket.send(bytes)
                    let all = try socket.receiveAll()
                    #expect(!all.starts(with: "HTTP".utf8))
                }
            }
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test(arguments: ["--http1.1", "--http2"])
    func servesLargeFiles(version: String) async throws {
        let folder = try EdgeFixture.temporaryFolder()
        let content = (0..<3_000_000).map { "\($0 % 10)" }.joined()
        try writeFile(folder + "/large.txt", content)
        try await EdgeFixture.with(.single(staticFolder: folder)) { edge in
            let fallback = edge.folder + "/fallback.crt"
            let page = try await edge.curl("localhost", "/large.txt", trusting: fallback, version)
            #expect(page.text == content)
            let part = try await edge.curl(
                "localhost", "/large.txt", trusting: fallback, version, "--range", "1000000-2500009")
            #expect(part.text == content.dropFirst(1_000_000).prefix(1_500_010))
        }
    }

    @Test func answersChallengesInClearTextOnly() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let folder = edge.folder + "/challenges"
            mkdir(folder, 0o700)
            try writeFile(folder + "/to_ken-1", "to_ken-1.thumbprint")
            try writeFile(edge.folder + "/secret", "secret")
            let prefix = "/.well-known/acme-challenge/"
            let answer = try await edge.get(prefix + "to_ken-1", host: "any.test")
            #expect(answer.status == 200 && answer.text == "to_ken-1.thumbprint")
            for path in ["other", "", "..%2Fsecret", "a/b", "../challenges/to_ken-1"] {
                let page = try await edge.get(prefix + path)
                #expect(page.text.hasPrefix("GET "), "\(path) goes to its route")
            }
            let page = try await edge.curl(
                "localhost", prefix + "to_ken-1", trusting: edge.folder + "/fallback.crt", "--http1.1")
            #expect(page.text.hasPrefix("GET "))
        }
    }
}
