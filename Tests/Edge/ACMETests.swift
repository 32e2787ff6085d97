import Certificates
import Edge
import Glibc
import Host
import LinuxHost
import Model
import TestSupport
import Testing

/// Certificates from a real authority, shown by a real edge.
@Suite(.serialized, .exclusive, .timeLimit(.minutes(5)))
struct ACMETests {
    private static let wanted = [WantedCertificate(names: ["b.roost.test", "a.roost.test"], source: .acme)]

    private func mode(_ path: String) -> mode_t {
        var info = stat()
        return stat(path, &info) == 0 ? info.st_mode & 0o777 : 0
    }

    @Test func getsRenewsAndForgets() async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let keeper = pebble.keeper(clock)
            try await keeper.want(Self.wanted)
            #expect(await keeper.report().statuses.map(\.state) == [.pending])
            let renewal = await keeper.step()
            let first = await keeper.report()
            let status = try #require(first.statuses.first)
            try #require(status.state == .active && status.message == nil && status.lastError == nil, "\(status)")
            #expect(status.names == ["a.roost.test", "b.roost.test"] && status.nextTry == renewal)
            #expect(mode(first.entries[0].keyPath) == 0o600)
            #expect(mode(pebble.folder + "/account.key") == 0o600)
            #expect(try await LiveFiles().list(pebble.edge.folder + "/challenges").isEmpty)
            var table = EdgeTable.single(upstream.port)
            table.certificates = first.entries
            try await pebble.edge.control.apply(table)
            for name in ["a.roost.test", "b.roost.test"] {
                let page = try await pebble.edge.curl(name, trusting: pebble.rootPath)
                #expect(page.text == "ok", "\(name)")
            }
            // Nothing to do until a third of its life is left; then another one, with another key.
            let now = clock.now()
            let left = try #require(status.notAfter).since(renewal) / status.notAfter!.since(now)
            #expect(left > 0.33 && left < 0.42)
            #expect(await keeper.step() == renewal)
            #expect(await keeper.report() == first)
            clock.advance(to: renewal)
            // A successor renews: all that counts is on disk.
            let successor = pebble.keeper(clock)
            try await successor.want(Self.wanted)
            _ = await successor.step()
            let second = await successor.report()
            try #require(second.statuses.first?.state == .active && second.entries.count == 1)
            #expect(second.entries != first.entries)
            #expect(access(first.entries[0].keyPath, F_OK) == 0, "the former one may still be in force")
            table.certificates = second.entries
            try await pebble.edge.control.apply(table)
            let page = try await pebble.edge.curl("a.roost.test", trusting: pebble.rootPath)
            #expect(page.text == "ok")
            try await successor.want([])
            #expect(await successor.report() == CertificateReport(entries: [], statuses: []))
            #expect(try await LiveFiles().list(pebble.folder) == ["account.key"])
        }
    }

    @Test func otherContactsAreTold() async throws {
        try await PebbleFixture.with(nonceRejections: 0) { pebble in
            let clock = ShiftedClock()
            for (number, contact, told) in [(1, "a", 1), (2, "b", 2), (3, "b", 1)] {
                let authority = ToldAuthority(HTTPACMETransport(client: pebble.client))
                let keeper = pebble.keeper(clock, contacts: ["\(contact)@roost.test"], transport: authority)
                let wanted = (1...number).map { WantedCertificate(names: ["n\($0).roost.test"], source: .acme) }
                try await keeper.want(wanted)
                _ = await keeper.step()
                #expect(await keeper.report().statuses.allSatisfy { $0.state == .active })
                let all = [String](repeating: #"["mailto:\#(contact)@roost.test"]"#, count: told)
                #expect(authority.contacts == all, "the account is new, has another contact, has the same")
            }
        }
    }

    @Test func provesWildcardsByDNS() async throws {
        try await PebbleFixture.with { pebble in
            let hook = pebble.edge.folder + "/hook"
            try writeFile(
                hook,
                """
                #!/bin/sh
                if [ "$1" = present ]; then verb=set-txt; else verb=clear-txt; fi
                exec curl -fsS -d "{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}" \
                    http://127.0.0.1:\(pebble.managementPort)/$verb
                """)
            chmod(hook, 0o700)
            let dns = CommandDNSChallenges(argv: [hook], commands: LiveCommands())
            let clock = ShiftedClock()
            let keeper = pebble.keeper(clock, dns: dns)
            try await keeper.want([WantedCertificate(names: ["*.wild.test", "wild.test"], source: .acme)])
            _ = await keeper.step()
            let report = await keeper.report()
            #expect(report.statuses.first?.state == .active, "\(report.statuses)")
            // The same names without a hook: refused before the authority has to.
            let other = pebble.keeper(clock)
            try await other.want([WantedCertificate(names: ["*.other.test"], source: .acme)])
            _ = await other.step()
            let refused = try #require(await other.report().statuses.first)
            #expect(refused.state == .failed && refused.message?.contains("DNS") == true, "\(refused)")
        }
    }

    @Test func saysWhyItFailsAndWaitsBeforeItTriesAgain() async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let gate = CuttingGate()
            // The edge finds nothing in the folder that this one writes to.
            let keeper = pebble.keeper(clock, gate: gate, challengeFolder: pebble.edge.folder + "/elsewhere")
            try await keeper.want(Self.wanted)
            var waits: [Duration] = []
            for attempt in 1...4 {
                let start = clock.now()
                let next = await keeper.step()
                let status = try #require(await keeper.report().statuses.first)
                #expect(status.state == .failed && status.message?.contains("roost.test") == true, "\(status)")
                #expect(gate.labels.filter { $0 == "certificate-order.create" }.count == attempt)
                waits.append(next.since(start))
                // Asked again at once, it does nothing.
                _ = await keeper.step()
                #expect(gate.labels.filter { $0 == "certificate-order.create" }.count == attempt)
                clock.advance(to: next)
            }
            #expect(waits[0] >= .seconds(300) && waits[3] >= .seconds(2400), "\(waits)")
            // Put right, it works by itself.
            let successor = pebble.keeper(clock)
            try await successor.want(Self.wanted)
            _ = await successor.step()
            #expect(await successor.report().statuses.first?.state == .active)
        }
    }

    @Test func anAuthorityThatIsAwayCostsNothingButTime() async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let port = try FreePorts.take(1)[0]
            let keeper = pebble.keeper(clock, directoryURL: "https://localhost:\(port)/dir")
            try await keeper.want(Self.wanted)
            let start = clock.now()
            let next = await keeper.step()
            let status = try #require(await keeper.report().statuses.first)
            #expect(status.state == .failed && status.message?.contains("cannot be reached") == true, "\(status)")
            #expect(next.since(start) >= .seconds(10) && next.since(start) < .seconds(300))
            clock.advance(to: next)
            let successor = pebble.keeper(clock)
            try await successor.want(Self.wanted)
            _ = await successor.step()
            #expect(await successor.report().statuses.first?.state == .active)
        }
    }

    /// The power goes at every effect of an issue, one after the other, before it and after it.
    @Test func survivesEveryPowerCut() async throws {
        try await PebbleFixture.with(nonceRejections: 0) { pebble in
            let clock = ShiftedClock()
            let complete = CuttingGate()
            let whole = pebble.keeper(clock, gate: complete)
            try await whole.want(Self.wanted)
            _ = await whole.step()
            #expect(await whole.report().statuses.first?.state == .active)
            // And those of forgetting the names before.
            let points = complete.labels.count * 2 + 2
            let account = try await LiveFiles().read(pebble.folder + "/account.key", bytesMax: 10_000)
            for cut in 0..<points {
                let names = [WantedCertificate(names: ["cut\(cut).roost.test"], source: .acme)]
                let gate = CuttingGate(cutAt: cut)
                let keeper = pebble.keeper(clock, gate: gate)
                do {
                    try await keeper.want(names)
                    _ = await keeper.step()
                } catch is CuttingGate.Cut {
                    // The power may go as well while what is no longer wanted is removed.
                }
                var orders = gate.labels.filter { $0 == "certificate-order.create" }.count
                for _ in 0..<3 where await keeper.report().statuses.first?.state != .active || gate.wasCut {
                    let after = CuttingGate()
                    let successor = pebble.keeper(clock, gate: after)
                    try await successor.want(names)
                    let next = await successor.step()
                    orders += after.labels.filter { $0 == "certificate-order.create" }.count
                    let status = try #require(await successor.report().statuses.first)
                    if status.state == .active { break }
                    clock.advance(to: next)
                }
                let last = pebble.keeper(clock)
                try await last.want(names)
                let report = await last.report()
                #expect(report.statuses.first?.state == .active, "cut at \(cut): \(report.statuses)")
                #expect(orders <= 2, "cut at \(cut)")
                #expect(access(report.entries.first?.keyPath ?? "", F_OK) == 0)
            }
            #expect(try await LiveFiles().read(pebble.folder + "/account.key", bytesMax: 10_000) == account)
        }
    }

    @Test func keepsUploadedCertificates() async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let keeper = pebble.keeper(clock)
            func source(_ certificate: TestCertificate, keyOf other: TestCertificate? = nil) async throws
                -> WantedCertificate.Source
            {
                let files = LiveFiles()
                let chain = try await files.read(certificate.entry.certificatePath, bytesMax: 10_000)
                let key = try await files.read((other ?? certificate).entry.keyPath, bytesMax: 10_000)
                return .upload(
                    certificatePEM: String(decoding: chain ?? [], as: UTF8.self),
                    keyPEM: String(decoding: key ?? [], as: UTF8.self))
            }
            let first = try TestCertificate(["up.test"], folder: pebble.edge.folder, file: "first")
            let next = try TestCertificate(["up.test"], folder: pebble.edge.folder, file: "next", days: 60)
            let ended = try TestCertificate(["up.test"], folder: pebble.edge.folder, file: "ended", days: -1)
            try await keeper.want([WantedCertificate(names: ["up.test"], source: try await source(first))])
            let kept = await keeper.report()
            try #require(kept.statuses.map(\.state) == [.active] && kept.statuses[0].nextTry == nil)
            #expect(mode(kept.entries[0].keyPath) == 0o600)
            for bad in [
                try await source(next, keyOf: first), try await source(ended),
                .upload(certificatePEM: "none", keyPEM: "none"),
            ] {
                try await keeper.want([WantedCertificate(names: ["up.test"], source: bad)])
                let report = await keeper.report()
                #expect(report.entries == kept.entries, "the former one stays")
                #expect(report.statuses[0].state == .active && report.statuses[0].message != nil)
            }
            try await keeper.want([WantedCertificate(names: ["up.test"], source: try await source(next))])
            let replaced = await keeper.report()
            #expect(replaced.entries != kept.entries && replaced.statuses[0].message == nil)
            clock.advance(to: try #require(replaced.statuses[0].notAfter))
            let over = await keeper.report().statuses[0]
            #expect(over.state == .failed && over.message?.contains("Upload another one") == true, "\(over)")
        }
    }
}
