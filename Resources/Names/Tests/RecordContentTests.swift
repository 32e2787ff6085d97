import Model
import ResourceKit
import Testing

@testable import NamesResources

@Suite struct RecordContentTests {
    struct Sound: Sendable {
        var type: RecordType
        var content: String
        var priority: Int64?
        var text: String
        init(_ type: RecordType, _ content: String, _ text: String, priority: Int64? = nil) {
            (self.type, self.content, self.text, self.priority) = (type, content, text, priority)
        }
    }

    private static let digest = String(repeating: "ab", count: 32)

    @Test(
        "content that is fine goes out in the name server's form",
        arguments: [
            Sound(.a, "192.0.2.1", "192.0.2.1"), Sound(.aaaa, "2001:DB8:0::1", "2001:db8::1"),
            Sound(.cname, "Example.NET", "example.net."), Sound(.cname, "@", "zone.example."),
            Sound(.alias, "lb.example.net.", "lb.example.net."), Sound(.ns, "ns1.example.net", "ns1.example.net."),
            Sound(.ptr, "_host.example.net", "_host.example.net."), Sound(.mx, "mx.example.net", "10 mx.example.net."),
            Sound(.mx, "mx.example.net.", "20 mx.example.net.", priority: 20), Sound(.mx, "5 @", "5 zone.example."),
            Sound(.mx, "0 .", "0 ."), Sound(.srv, "5 5060 sip.example.net", "0 5 5060 sip.example.net."),
            Sound(.srv, "1 5 5060 sip.example.net", "1 5 5060 sip.example.net."),
            Sound(.srv, "5 5060 .", "7 5 5060 .", priority: 7), Sound(.txt, "v=spf1 -all", "\"v=spf1 -all\""),
            Sound(.txt, "say \"hi\" \\ ;", "\"say \\\"hi\\\" \\\\ ;\""), Sound(.txt, "\"a\" \"b;c\"", "\"a\" \"b;c\""),
            Sound(.txt, "ü", "\"\\195\\188\""), Sound(.txt, "\"\\195\\188\"", "\"\\195\\188\""),
            Sound(.txt, "\"\"", "\"\""),
            Sound(.caa, "0 issue \"ca.example.net\"", "0 issue \"ca.example.net\""),
            Sound(.caa, "128 ISSUEWILD \";\"", "128 issuewild \";\""),
            Sound(.caa, "0 iodef mailto:a@example.net", "0 iodef \"mailto:a@example.net\""),
            Sound(.https, "1 . alpn=h2,h3 port=8443", "1 . alpn=h2,h3 port=8443"),
            Sound(.https, ". port=8443 alpn=h2", "1 . alpn=h2 port=8443"),
            Sound(.https, "0 svc.example.net", "0 svc.example.net."),
            Sound(
                .svcb, "2 svc.example.net ipv4hint=192.0.2.1,192.0.2.2",
                "2 svc.example.net. ipv4hint=192.0.2.1,192.0.2.2"),
            Sound(.tlsa, "3 1 1 \(digest.uppercased())", "3 1 1 \(digest)"),
            Sound(.smimea, "3 0 0 30 82", "3 0 0 3082"), Sound(.ds, "12345 13 2 \(digest)", "12345 13 2 \(digest)"),
            Sound(.sshfp, "4 2 \(digest)", "4 2 \(digest)"),
            Sound(
                .naptr, "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@example.net!\" .",
                "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@example.net!\" ."),
            Sound(
                .naptr, "1 2 s SIP+D2U \"\" _sip._udp.e.example", "1 2 \"s\" \"SIP+D2U\" \"\" _sip._udp.e.example."),
            Sound(.uri, "10 1 \"https://example.net/\"", "10 1 \"https://example.net/\""),
            Sound(.openPGPKey, "AQID", "AQID"),
        ])
    func sound(_ one: Sound) throws {
        let read = try RecordContent.read(one.type, one.content, priority: one.priority, zone: "zone.example")
        #expect(read.text == one.text)
        // Once more: what went out is taken back alike.
        #expect(try RecordContent.read(one.type, read.text, priority: nil, zone: "zone.example").text == read.text)
    }

    @Test(
        "content that is not fine is refused",
        arguments: [
            (.a, "192.0.2.256"), (.a, "192.0.2.1 "), (.a, "1"), (.a, "0x7f.1"), (.a, "::1"), (.a, "192.0.2.1\n"),
            (.aaaa, "192.0.2.1"), (.aaaa, "fe80::1%eth0"), (.aaaa, ":::"), (.cname, ""), (.cname, "a b.example"),
            (.cname, "localhost"), (.cname, "-a.example"), (.cname, "a..example"), (.cname, "\"a.example\""),
            (.cname, "bücher.example"), (.cname, "xn--.example"), (.cname, "ab--c.example"),
            (.cname, String(repeating: "a.", count: 130) + "example"), (.cname, "x.example; comment"),
            (.cname, "(x.example)"),
            (.cname, "a.example$(id)"), (.mx, "mx_1.example.net"), (.mx, "70000 mx.example.net"),
            (.mx, "10 20 mx.example.net"),
            (.mx, "192.0.2.1.."), (.srv, "5 70000 sip.example.net"), (.srv, "sip.example.net"), (.txt, ""),
            (.txt, "\"open"), (.txt, "\"a\" b"), (.txt, "\"a\"b"), (.txt, "\"\\300\""), (.txt, "\"\\1\""),
            (.txt, "a\u{0}b"),
            (.txt, "a\nb"), (.caa, "256 issue \"x\""), (.caa, "0 is-sue \"x\""), (.caa, "0 issue"),
            (.https, "1 . port=x"),
            (.https, "1 . bogus=1"), (.https, "0 . alpn=h2"), (.https, "1 . port=1 port=2"),
            (.https, "1 . ipv4hint=::1"),
            (.tlsa, "3 1 1 abcd"), (.tlsa, "3 1 1 zz"), (.tlsa, "256 1 0 ab"), (.ds, "1 13 2 abc"), (.ds, "-1 13 2 ab"),
            (.sshfp, "4 2"), (.naptr, "1 2 \"u\" \"x\" \"!a!b!\" host.example.net"), (.naptr, "1 2 \"-\" \"x\" \"\" ."),
            (.uri, "10 1 nonsense"), (.openPGPKey, "***"), (.txt, String(repeating: "a", count: 20_000)),
        ] as [(RecordType, String)])
    func unsound(_ type: RecordType, _ content: String) {
        #expect(throws: RecordFlaw.self) {
            try RecordContent.read(type, content, priority: nil, zone: "zone.example")
        }
    }

    @Test func longTextGoesOutInStringsOf255Bytes() throws {
        let text = try RecordContent.read(.txt, String(repeating: "k", count: 600), priority: nil, zone: "z.example")
            .text
        #expect(text.split(separator: " ").map(\.utf8.count) == [257, 257, 92])
    }

    @Test func aPriorityIsForTypesThatHaveOneAndSaidOnce() throws {
        #expect(throws: RecordFlaw("priority", "is not for A records")) {
            try RecordContent.read(.a, "192.0.2.1", priority: 5, zone: "z.example")
        }
        #expect(try RecordContent.read(.a, "192.0.2.1", priority: 0, zone: "z.example").text == "192.0.2.1")
        #expect(throws: RecordFlaw.self) {
            try RecordContent.read(.mx, "10 mx.example.net", priority: 20, zone: "z.example")
        }
    }

    @Test(
        "names relative to the zone",
        arguments: [
            ("@", "@"), ("www", "www"), ("WWW", "www"), ("*", "*"), ("*.a", "*.a"), ("_sip._tcp", "_sip._tcp"),
            ("www.zone.example.", "www"), ("zone.example.", "@"), ("a.b.", "a.b"),
        ])
    func relative(_ name: String, _ expected: String) throws {
        #expect(RecordName.flaw(name) == nil)
        #expect(try RecordName.relative(name, in: "zone.example") == expected)
    }

    @Test(
        "names that repeat the zone, or are too long with it",
        arguments: [
            "www.zone.example", "zone.example", String(repeating: "abcdefgh.", count: 27) + "abc",
        ])
    func wronglyRelative(_ name: String) {
        #expect(throws: RecordFlaw.self) { try RecordName.relative(name, in: "zone.example") }
    }

    @Test(
        "texts that are no record's name",
        arguments: [
            "", ".", "..", "a..b", "-a", "a-", "a b", "a*", "a.*", "ü", "a/b", "a\u{0}", "a\\.b", "\"a\"", "xn--",
            "$(id)", "a;b",
            String(repeating: "a", count: 64),
        ])
    func noName(_ name: String) { #expect(RecordName.flaw(name) != nil) }

    @Test(
        "domain names",
        arguments: [
            ("example.org", true), ("example.org.", true), ("EXAMPLE.org", true), ("xn--bcher-kva.example", true),
            ("2.0.192.in-addr.arpa", true), ("org", false), ("", false), (".", false), ("a..b", false),
            ("*.example.org", false),
            ("bücher.example", false), ("xn--99999999.example", false), ("xn--a-.example", false),
            ("exa mple.org", false), ("192.0.2.1", false), ("192.0.2.1.", false), ("192.0.2", false),
            ("4.example", true), ("a.4", false), ("a.b.org.", true),
            ("example.org..", false), ("-a.org", false), ("a_b.org", false),
        ])
    func domain(_ name: String, _ isFine: Bool) { #expect((DomainName.flaw(name) == nil) == isFine) }

    @Test func anAddressOfTheOtherFamilyIsRefused() {
        func flaw(_ content: String) -> String? {
            var flaws = FieldFlaws()
            zoneRecordKind.validate(["type": "AAAA", "content": .string(content)], &flaws)
            return flaws.reasons["content"]
        }
        for content in ["::ffff:192.0.2.99", "::FFFF:c000:263", "::192.0.2.99"] {
            #expect(flaw(content)?.hasSuffix("make an A record of 192.0.2.99") == true, "\(content)")
        }
        #expect(flaw("2001:db8::1") == nil && flaw("::1") == nil && flaw("192.0.2.99") != nil)
    }

    @Test func namesAboveAName() {
        #expect(DomainName.above("a.b.example.org") == ["b.example.org", "example.org"])
        #expect(DomainName.above("example.org") == [])
    }

    @Test("every type is declared and says whether it has a priority", arguments: RecordType.allCases)
    func declared(_ type: RecordType) {
        var flaws = FieldFlaws()
        zoneRecordKind.fields.check(
            ["type": .string(type.rawValue), "name": "x", "content": "x"], into: &flaws)
        #expect(flaws.problem == nil)
    }
}
