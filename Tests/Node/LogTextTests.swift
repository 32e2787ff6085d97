import Testing

@testable import Node

/// Text of a log has the length of its bytes, whatever they are.
@Suite struct LogTextTests {
    @Test(
        arguments: [
            ([], ""), (Array("plain ä€𝄞".utf8), "plain ä€𝄞"), ([0x61, 0xFF, 0x62], "a?b"),
            ([0xE2, 0x82], ""), ([0x61, 0xC3], "a"), ([0xC3, 0x61], "?a"), ([0xE2, 0x82, 0x61], "??a"),
            ([0xED, 0xA0, 0x80], "???"), ([0xC0, 0x80], "??"), ([0xF0, 0x9D, 0x84, 0x9E, 0xF0, 0x9D], "𝄞"),
            ([0x80, 0x80], "??"),
        ] as [([UInt8], String)])
    func `bytes that are no text are marked one by one`(_ bytes: [UInt8], _ text: String) {
        #expect(LogText.wholeCharacters(bytes) == text)
    }
}
