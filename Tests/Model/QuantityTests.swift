import Model
import Testing

@Suite struct QuantityTests {
    @Test(arguments: [
        ("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000), ("30", 30_000),
        ("0.5s", 500),
    ])
    func `time spans`(text: String, milliseconds: Int64) {
        #expect(Duration.parse(text)?.milliseconds == milliseconds)
    }

    @Test(arguments: ["", "s", "-1s", "1y", "1e99", "..", "٣s"]) func `no time spans`(text: String) {
        #expect(Duration.parse(text) == nil)
    }

    @Test(arguments: [
        ("1024", 1024), ("1K", 1024), ("256M", 268_435_456), ("1.5GiB", 1_610_612_736), ("2 MB", 2_097_152),
    ])
    func `sizes`(text: String, bytes: Int64) { #expect(ByteCount.parse(text) == bytes) }

    @Test(arguments: ["", "M", "-1", "1X", "1e30G"]) func `no sizes`(text: String) {
        #expect(ByteCount.parse(text) == nil)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func `times are written and read the same`(milliseconds: Int64, text: String) {
        let time = Timestamp(millisecondsSinceEpoch: milliseconds)
        #expect(time.rfc3339 == text)
        #expect(Timestamp(rfc3339: text) == time)
    }

    @Test(arguments: [
        "", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z", "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00.Z",
    ])
    func `no times`(text: String) { #expect(Timestamp(rfc3339: text) == nil) }

    @Test func `a time as HTTP writes it`() {
        #expect(Timestamp(millisecondsSinceEpoch: 784_111_777_000).httpDate == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(Timestamp(millisecondsSinceEpoch: 0).httpDate == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(Timestamp(millisecondsSinceEpoch: -1).httpDate == "Wed, 31 Dec 1969 23:59:59 GMT")
        #expect(Timestamp(millisecondsSinceEpoch: 1_709_208_000_999).httpDate == "Thu, 29 Feb 2024 12:00:00 GMT")
    }
}
