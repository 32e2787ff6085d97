import Model
import Testing

@Suite struct NameTests {
    @Test(arguments: [
        "https://git.example.org/a/b.git", "ssh://git@git.example.org:2222/a.git", "git://git.example.org/a",
        "file:///srv/git/a.git", "git@git.example.org:a/b.git", "http://10.0.0.1:3000/a",
    ])
    func `usual repositories are accepted`(url: String) { #expect(Names.gitURLFlaw(url) == nil) }

    @Test(arguments: [
        "", "-oProxyCommand=touch /tmp/x", "--upload-pack=touch", "ext::sh -c touch", "ext::sh", "file://relative",
        "file:///srv/../etc", "ssh://-oProxyCommand=x/y", "git@-oProxyCommand=x:y", "https://u:p@git.example.org/a",
        "https:///a", "a\nb@c:d", "ftp://x/y", "/etc/passwd", "../x", "fd::17", "git@git.example.org:-x",
        "https://-x/y",
        "javascript:alert(1)", "https://git.example.org/a b", "\u{0}", "ssh://-\u{301}oProxyCommand=x/y",
        "https://git.example.org/a \u{301}b", "https://git.example.org/\u{202E}a",
    ])
    func `what git could misread is refused`(url: String) { #expect(Names.gitURLFlaw(url) != nil) }

    @Test(arguments: ["main", "v1.2.3", "feature/x", "refs/heads/main", String(repeating: "a", count: 40)])
    func `usual references are accepted`(ref: String) { #expect(Names.gitRefFlaw(ref) == nil) }

    @Test(arguments: [
        "", "-x", "--upload-pack=x", "a..b", "a b", "a\nb", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/",
        "a.",
        "a//b", "a@{1}", "@", "-\u{301}x", "a..\u{301}b", "a~\u{FE0F}1", ".a", "a/.b", "a.lock", "a.lock/b", "\u{7F}",
    ])
    func `what git would not take for a reference is refused`(ref: String) { #expect(Names.gitRefFlaw(ref) != nil) }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("2001:DB8::1", "2001:db8::1"), ("2001:db8:0::1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("::FFFF:c000:0263", "::ffff:192.0.2.99"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ])
    func `addresses in one spelling`(given: String, canonical: String) {
        #expect(Names.canonicalAddress(given) == canonical)
        #expect(Names.canonicalAddress(canonical) == canonical)
    }

    @Test(arguments: [
        "", "1.2.3", "01.2.3.4", "1::2::3", "1.2.3.4::1.2.3.4", "1.2.3.4::", ":1", "1:2:3:4:5:6:7:8:9", "g::",
    ])
    func `texts that are no addresses`(text: String) {
        #expect(Names.canonicalAddress(text) == nil && Names.addressFlaw(text) != nil)
    }

    @Test(arguments: ["web", "a", "api-2", "0", String(repeating: "x", count: 63)])
    func `labels`(name: String) { #expect(Names.dnsLabelFlaw(name) == nil) }

    @Test(arguments: [
        "", "-a", "a-", "A", "a.b", "a_b", "a b", "..", "a/b", "ä", "a\n", String(repeating: "x", count: 64),
    ])
    func `no labels`(name: String) { #expect(Names.dnsLabelFlaw(name) != nil) }

    @Test(arguments: ["../x", "a/../b", "a/..\u{301}/b", "a/../\u{301}b", "/\u{301}a", "a\u{2028}b", "a\u{9B}b"])
    func `paths that leave their folder, or read otherwise than they are`(path: String) {
        #expect(Names.relativePathFlaw(path) != nil)
    }

    @Test func `a sign that becomes a letter in lower case is no letter of a host name`() {
        #expect(Names.hostnameFlaw("\u{212A}.example.org") != nil && Names.hostnameFlaw("K.example.org") == nil)
        #expect(Names.relativePathFlaw("e\u{301}t\u{E9}/1\u{FE0F}\u{20E3}.md") == nil)
    }

    @Test(arguments: ["/", "/api", "/a/b-c_d.e"]) func `prefixes`(path: String) {
        #expect(Names.pathPrefixFlaw(path) == nil)
    }

    @Test(arguments: [
        "", "a", "/..", "/a/../b", "/a/./b", "//",
        "/a//b", "/%2e", "/a?b", "/a#b", "/a b", "/a\\b", "/é", "/\u{0}",
    ])
    func `no prefixes`(path: String) { #expect(Names.pathPrefixFlaw(path) != nil) }

    @Test(arguments: ["0.0.0.0/0", "203.0.113.0/24", "::/0", "2001:db8::/32", "::ffff:1.2.3.4/128"])
    func `networks`(text: String) { #expect(Names.cidrFlaw(text) == nil) }

    @Test(arguments: [
        "", "1.2.3.4", "1.2.3.4/33", "1.2.3/8", "1.2.3.04/8", "::/129", ":::/0", "1::2::3/8", "x/8", "1.2.3.4/-1",
    ])
    func `no networks`(text: String) { #expect(Names.cidrFlaw(text) != nil) }
}
