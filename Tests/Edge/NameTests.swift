import Edge
import Glibc
import Host
import Model
import NameResponder
import Testing

/// The responder, asked by `dig`.
@Suite(.serialized, .exclusive)
struct NameTests {
    private func with(_ body: (EdgeFixture) async throws -> Void) async throws {
        try await EdgeFixture.with(.single(1, id: "web")) { try await body($0) }
    }

    @Test func anAddress() async throws {
        try await with { edge in
            let answer = try await dig(edge, "web.svc.internal", "A")
            #expect(answer.contains("status: NOERROR"))
            #expect(answer.contains("flags: qr aa rd;"))
            #expect(
                answer.split(separator: "\n").contains {
                    $0.hasPrefix("web.svc.internal.") && $0.hasSuffix("127.0.0.1")
                })
            #expect(answer.contains("EDNS: version: 0, flags:; udp: 1232"))
            let mixed = try await dig(edge, "+short", "wEb.SVC.internal", "A")
            #expect(mixed == "127.0.0.1\n")
            let stream = try await dig(edge, "+short", "+tcp", "web.svc.internal", "A")
            #expect(stream == "127.0.0.1\n")
            let plain = try await dig(edge, "+noedns", "web.svc.internal", "A")
            #expect(plain.contains("127.0.0.1") && !plain.contains("EDNS"))
        }
    }

    @Test(arguments: [
        ("web.svc.internal", "AAAA", "NOERROR", true), ("web.svc.internal", "MX", "NOERROR", true),
        ("web.svc.internal", "TYPE65", "NOERROR", true), ("no.svc.internal", "A", "NXDOMAIN", true),
        ("a.web.svc.internal", "A", "NXDOMAIN", true), ("svc.internal", "A", "NOERROR", true),
        ("svc.internal", "SOA", "NOERROR", true), ("svc.internal", "NS", "NOERROR", false),
        ("ns.svc.internal", "A", "NOERROR", false), ("internal", "A", "REFUSED", false),
        ("example.com", "A", "REFUSED", false), (".", "NS", "REFUSED", false), ("xsvc.internal", "A", "REFUSED", false),
        ("1.0.0.127.in-addr.arpa", "PTR", "REFUSED", false),
    ])
    func statuses(name: String, type: String, status: String, hasSOA: Bool) async throws {
        try await with { edge in
            for transport in ["+notcp", "+tcp"] {
                let answer = try await dig(edge, transport, name, type)
                #expect(answer.contains("status: \(status)"), "\(answer)")
                #expect(answer.contains("SOA\tns.svc.internal. hostmaster.svc.internal.") == hasSOA, "\(answer)")
                #expect(!answer.contains("malformed") && !answer.contains("WARNING: Message"))
            }
        }
    }

    @Test func otherClassesVersionsAndOperations() async throws {
        try await with { edge in
            let chaos = try await dig(edge, "version.bind", "CH", "TXT")
            #expect(chaos.contains("status: REFUSED"))
            let version = try await dig(edge, "+edns=1", "+noednsnegotiation", "web.svc.internal", "A")
            #expect(version.contains("status: BADVERS"))
            let notify = try await dig(edge, "+opcode=notify", "web.svc.internal", "A")
            #expect(notify.contains("status: NOTIMP"))
        }
    }

    @Test func namesFollowTheTable() async throws {
        try await with { edge in
            try await edge.control.apply(.single(1, id: "other"))
            let gone = try await dig(edge, "web.svc.internal", "A")
            #expect(gone.contains("status: NXDOMAIN"))
            let new = try await dig(edge, "+short", "other.svc.internal", "A")
            #expect(new == "127.0.0.1\n")
        }
    }

    /// Names outside the zone are asked of another resolver, when there is one; here another edge's.
    @Test func foreignNamesAreForwarded() async throws {
        var table = EdgeTable.single(1, id: "api")
        table.internalSuffix = "lab.test"
        try await EdgeFixture.with(table) { resolver in
            try await with { edge in
                let refused = try await dig(edge, "api.lab.test", "A")
                #expect(refused.contains("status: REFUSED"))
                let closed = try ClosedPort()
                var listeners = edge.listeners
                listeners.generation = 1
                listeners.dnsResolvers = ["127.0.0.1:\(closed.port)", "127.0.0.1:\(resolver.dnsPort)"]
                let next = HandoverTests.start(listeners)
                #expect(try await HandoverTests.serves(edge, 1))
                for transport in ["+notcp", "+tcp"] {
                    let answer = try await dig(edge, transport, "api.lab.test", "A")
                    #expect(answer.contains("status: NOERROR") && answer.contains("127.0.0.1"), "\(answer)")
                    let missing = try await dig(edge, transport, "no.lab.test", "A")
                    #expect(missing.contains("status: NXDOMAIN"), "\(missing)")
                    let own = try await dig(edge, transport, "+short", "web.svc.internal", "A")
                    #expect(own == "127.0.0.1\n")
                    // Who does not ask for recursion gets none.
                    let plain = try await dig(edge, transport, "+norecurse", "api.lab.test", "A")
                    #expect(plain.contains("status: REFUSED"))
                }
                next.cancel()
                try await next.value
            }
        }
    }

    @Test func aResolverThatIsAwayIsAServerFailure() async throws {
        try await with { edge in
            let closed = try ClosedPort()
            var listeners = edge.listeners
            listeners.generation = 1
            listeners.dnsResolvers = ["127.0.0.1:\(closed.port)"]
            let next = HandoverTests.start(listeners)
            #expect(try await HandoverTests.serves(edge, 1))
            for transport in ["+notcp", "+tcp"] {
                let answer = try await dig(edge, transport, "example.com", "A")
                #expect(answer.contains("status: SERVFAIL"), "\(answer)")
            }
            next.cancel()
            try await next.value
        }
    }

    /// An answer of 3,056 bytes, to a client that takes so much and to one that does not.
    @Test func largeAnswersOfOthersAreNotCut() async throws {
        let resolver = try LargeAnswers(bytes: 3056)
        try await with { edge in
            var listeners = edge.listeners
            listeners.generation = 1
            listeners.dnsResolvers = ["127.0.0.1:\(resolver.port)"]
            let next = HandoverTests.start(listeners)
            #expect(try await HandoverTests.serves(edge, 1))
            let whole = try await dig(edge, "+bufsize=4096", "+ignore", "large.test", "TXT")
            #expect(whole.contains("MSG SIZE  rcvd: 3056") && !whole.contains(" tc"), "\(whole)")
            for size in ["+bufsize=1232", "+noedns"] {
                let cut = try await dig(edge, size, "+ignore", "large.test", "TXT")
                #expect(cut.contains("flags: qr tc rd ra;") && cut.contains("ANSWER: 0"), "\(cut)")
                #expect(!cut.contains("malformed") && !cut.contains("WARNING"), "\(cut)")
            }
            next.cancel()
            try await next.value
        }
    }

    @Test func longNamesStillFit() {
        let zone = NameZone(address: [127, 0, 0, 1], responderAddress: [127, 0, 0, 1])
        let label = String(repeating: "a", count: 63)
        zone.replace(suffix: "\(label).\(label).\(label)", names: ["web"])
        var name: [UInt8] = []
        for part in ["web", label, label, label] { name += [UInt8(part.utf8.count)] + Array(part.utf8) }
        name.append(0)
        let query: [UInt8] = [1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + name + [0, 28, 0, 1]
        let answer = zone.answer(query, isStream: false)
        #expect(answer?.prefix(4).elementsEqual([1, 2, 0x85, 0]) == true)
        #expect(answer.map { $0.count <= 512 } == true)
    }

    @Test(
        arguments: [
            ([], nil), ([1], nil), (Array(repeating: 0, count: 11), nil),
            // An answer, which is never answered.
            ([0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1], nil),
            // No question; two questions; a question that ends early; a name that points at itself.
            ([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1), ([0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1], 1),
            ([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 97], 1),
            ([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 1, 0, 1], 1),
            ([0, 1, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1], 4),
        ] as [([UInt8], UInt8?)])
    func malformedPackets(packet: [UInt8], rcode: UInt8?) {
        let zone = NameZone(address: [127, 0, 0, 1], responderAddress: [127, 0, 0, 1])
        zone.replace(suffix: "svc.internal", names: ["web"])
        let answer = zone.answer(packet, isStream: false)
        #expect(answer.map { $0[3] & 0xF } == rcode)
    }
}

/// A resolver that answers every question with one record of as many bytes as it takes to make a message so long,
/// whatever the client says it takes.
private final class LargeAnswers: Sendable {
    let port: Int
    private let descriptor: Int32

    init(bytes: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = RawSocket.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = descriptor
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(bound, $0, length) | getsockname(bound, $0, &length)
            }
        }
        guard status == 0 else { throw SocketFailure("bind") }
        port = RawSocket.port(of: address)
        try NativeThread.detached("test") {
            while Self.answer(bound, bytes) {}
            close(bound)
        }
    }

    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }

    private static func answer(_ descriptor: Int32, _ bytes: Int) -> Bool {
        var query = [UInt8](repeating: 0, count: 512)
        var client = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &client) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { client in
                let count = recvfrom(descriptor, &query, query.count, 0, client, &length)
                guard count > 12 else { return false }
                var end = 12
                while query[end] != 0 { end += Int(query[end]) + 1 }
                var answer = Array(query[..<(end + 5)])
                answer.replaceSubrange(2..<12, with: [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
                let dataCount = bytes - answer.count - 12
                answer += [0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 5, UInt8(dataCount >> 8), UInt8(dataCount & 0xFF)]
                while answer.count < bytes {
                    let part = min(255, bytes - answer.count - 1)
                    answer += [UInt8(part)] + [UInt8](repeating: 97, count: part)
                }
                return sendto(descriptor, answer, answer.count, 0, client, length) == answer.count
            }
        }
    }
}

/// Asks the edge's responder.
func dig(_ edge: EdgeFixture, _ arguments: String...) async throws -> String {
    let all = ["@127.0.0.1", "-p", "\(edge.dnsPort)", "+tries=3", "+time=3"] + arguments
    return try await blocking { try run("/usr/bin/dig", all) }
}

/// Runs a program and returns what it printed.
func run(_ path: String, _ arguments: [String]) throws -> String {
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else { throw SocketFailure("pipe") }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
    posix_spawn_file_actions_addclose(&actions, pipes[0])
    posix_spawn_file_actions_addclose(&actions, pipes[1])
    defer { posix_spawn_file_actions_destroy(&actions) }
    var process = pid_t()
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for pointer in argv { free(pointer) } }
    let status = posix_spawn(&process, path, &actions, nil, &argv, environ)
    close(pipes[1])
    guard status == 0 else { throw SocketFailure("spawn \(path)") }
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while case let count = read(pipes[0], &chunk, chunk.count), count > 0 { all += chunk[..<count] }
    close(pipes[0])
    waitpid(process, nil, 0)
    return String(decoding: all, as: UTF8.self)
}
