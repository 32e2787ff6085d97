import Model
import Testing

@Suite struct TextTests {
    @Test(arguments: [
        ("a & b", "a &amp; b"), ("<p class=\"x\">", "&lt;p class=&quot;x&quot;&gt;"), ("grün 🚀", "grün 🚀"),
        ("\"\u{301}<\u{338}", "&quot;\u{301}&lt;\u{338}"),
    ])
    func `text in HTML ends neither a tag nor an attribute`(_ text: String, _ escaped: String) {
        #expect(text.escapedForHTML.utf8.elementsEqual(escaped.utf8))
    }

    @Test func `bytes are two digits each`() {
        #expect([UInt8]().hexadecimal == "")
        #expect([0, 1, 15, 16, 171, 255].hexadecimal == "00010f10abff")
    }
}
