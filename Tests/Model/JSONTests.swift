import Model
import TestSupport
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        "{\"b\":1,\"a\":[true,null,\"x\\u00e9\\n\"]}", "0", "-1.5e3", "\"\\ud83d\\ude00\"", "[]", "{}", "[[[]]]",
        "9223372036854775807", "\"\\u0000\"",
    ])
    func `what was read is written the same in canonical form, twice`(text: String) throws {
        let value = try JSONParser.parse(text)
        #expect(try JSONParser.parse(value.canonicalText) == value)
        #expect(try JSONParser.parse(value.canonicalText).canonicalText == value.canonicalText)
    }

    @Test func `whole numbers are exact as far as they fit`() throws {
        for text in ["0", "-0", "7", "-7", "9223372036854775807", "-9223372036854775808", "922337203685477580"] {
            #expect(try JSONParser.parse(text) == .int(try #require(Int64(text))))
        }
        for text in ["9223372036854775808", "-9223372036854780000", "18446744073709551616", "100000000000000000000"] {
            #expect(try JSONParser.parse(text) == .double(try #require(Double(text))))
        }
    }

    @Test func `members are sorted and duplicates refused`() throws {
        #expect(try JSONParser.parse("{ \"b\" : 2 , \"a\" : 1 }").canonicalText == "{\"a\":1,\"b\":2}")
        #expect(throws: Problem.self) { try JSONParser.parse("{\"a\":1,\"a\":2}") }
    }

    @Test(arguments: [
        "", "{", "[1,]", "01", "1.", "+1", "nul", "\"", "\"\\x\"", "\"\\ud800\"", "{\"a\"}", "1 2", "\"\u{01}\"",
        "NaN", "1e999", "[1}", "{1:2}", "\u{FEFF}1",
    ])
    func `malformed text is refused`(text: String) {
        #expect(throws: Problem.self) { try JSONParser.parse(text) }
    }

    @Test func `depth and encoding are limited`() {
        #expect(throws: Problem.self) { try JSONParser.parse(String(repeating: "[", count: 100_000)) }
        #expect(throws: Problem.self) { try JSONParser.parse([0x22, 0xFF, 0x22]) }
    }

    @Test func `random bytes never crash it`() {
        let random = SeededRandom(11)
        let alphabet = Array("{}[]\",:\\u0123456789eE+-.truefalsn \n\u{7F}é".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<random.below(40)).map { _ in alphabet[random.below(alphabet.count)] }
            if let value = try? JSONParser.parse(bytes) {  // most are malformed; only a crash would be a failure
                #expect((try? JSONParser.parse(value.canonicalBytes)) == value)
            }
        }
    }

    private func members(_ text: [UInt8]) -> [String: JSONValue]? {
        text.withUnsafeBufferPointer { bytes in
            guard let found = JSONMembers.find(in: bytes) else { return nil }
            // What is found need not be JSON.
            return Dictionary(
                uniqueKeysWithValues: found.map {
                    ($0.name, (try? JSONParser.parse(Array(bytes[$0.valuePlace]))) ?? "?")
                })
        }
    }

    @Test(arguments: [
        "{\"a\":1}", " { \"a\" : [ 1 , {\"x\":\"}],\"} ] ,\n\"b\":\"\\\"}\", \"c\" : { } } ",
        "{\"a\":-1.5e3,\"b\":null}",
    ])
    func `members are found where they are`(text: String) throws {
        #expect(members(Array(text.utf8)) == (try JSONParser.parse(text)).objectValue)
    }

    @Test(arguments: [
        "", "{", "{}", "[]", "1", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1}}", "{\"a\":1} x", "{\"a\":1,\"a\":1}",
        "{\"\\u0061\":1}", "{\"a\":\"", "{\"a\":\"\\", "{a:1}", "{\"a\":[1}",
    ])
    func `members of what is no plain object are not found`(text: String) {
        #expect(members(Array(text.utf8)) == nil)
    }

    @Test func `members of random text are those that a full reading finds`() {
        let random = SeededRandom(12)
        var read = 0
        let alphabet = ["{", "}", "\"a\":", "\"b\":", ",", "1", "[", "]", "\"x}\"", " ", "\"\\\"\"", "null"]
        for _ in 0..<20_000 {
            let text = "{" + (0..<random.below(12)).map { _ in alphabet[random.below(alphabet.count)] }.joined() + "}"
            // Most are malformed.
            guard let object = (try? JSONParser.parse(text))?.objectValue, !object.isEmpty else { continue }
            #expect(members(Array(text.utf8)) == object)
            read += 1
        }
        #expect(read > 100)
    }
}
