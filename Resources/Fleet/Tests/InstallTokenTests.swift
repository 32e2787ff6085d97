import FleetResources
import Host
import TestSupport
import Testing

@Suite struct InstallTokenTests {
    @Test func `a token names its id`() {
        let random = SeededRandom(3)
        let id = random.uuid()
        #expect(InstallToken.id(in: InstallToken.text(id: id, secret: random.hex(32))) == id)
    }

    @Test(arguments: [
        "", "rit_", "rit_abc_def", "xit_\(String(repeating: "a", count: 32))_\(String(repeating: "b", count: 64))",
        "rit_\(String(repeating: "ä", count: 16))_\(String(repeating: "b", count: 64))",
    ])
    func `what is no token names none`(text: String) {
        #expect(InstallToken.id(in: text) == nil)
    }
}
