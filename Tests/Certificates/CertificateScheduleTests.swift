import Model
import Testing

@testable import Certificates

/// When certificates are ordered and renewed, without any clock.
struct CertificateScheduleTests {
    private let now = Timestamp(millisecondsSinceEpoch: 1_800_000_000_000)
    private let record = CertificateRecord(names: ["a.test"])

    private func day(_ days: Int64) -> Timestamp { now.advanced(by: .seconds(days * 86_400)) }

    @Test(arguments: [0.0, 0.5, 0.999])
    func renewsWithAThirdLeftOrALittleEarlier(jitter: Double) throws {
        let begun = CertificateSchedule.begun(record, file: "1", now: now, jitter: jitter)
        let issued = CertificateSchedule.issued(begun, notBefore: now, notAfter: day(90), jitter: jitter)
        let renewAt = try #require(issued.current?.renewAt)
        #expect(renewAt <= day(60) && renewAt > day(52))
        #expect(CertificateSchedule.step(issued, now: day(50)) == .wait(until: renewAt))
        #expect(CertificateSchedule.step(issued, now: renewAt) == .begin)
        #expect(issued.order == nil && issued.nextTry == nil && issued.failures == 0)
    }

    @Test func anAttemptThatWasCutShortIsMadeAgainSoonAndThenEverLater() throws {
        var begun = record
        var waits: [Duration] = []
        for attempt in 1...12 {
            begun = CertificateSchedule.begun(begun, file: "\(attempt)", now: now, jitter: 0)
            let next = try #require(begun.nextTry)
            #expect(CertificateSchedule.step(begun, now: now) == .wait(until: next))
            #expect(CertificateSchedule.step(begun, now: next) == .begin)
            waits.append(next.since(now))
        }
        #expect(waits.prefix(4) == [.seconds(5), .seconds(10), .seconds(20), .seconds(40)])
        #expect(waits.last == .seconds(3600))
        // Once the authority answered, the next one that is cut short is the first again.
        let ordered = CertificateSchedule.ordered(begun, url: "https://ca.test/1")
        let later = CertificateSchedule.begun(ordered, file: "13", now: now, jitter: 0)
        #expect(later.nextTry == now.advanced(by: .seconds(5)))
    }

    @Test func whoWaitsAfterAnInterruptionIsToldSo() {
        let begun = CertificateSchedule.begun(record, file: "1", now: now, jitter: 0)
        let waiting = CertificateSchedule.status(begun, now: now, isUnderWay: false)
        #expect(waiting.state == .pending && waiting.message?.contains("interrupted") == true)
        #expect(waiting.message?.hasSuffix(" at \(now.advanced(by: .seconds(5)).rfc3339).") == true)
        let underWay = CertificateSchedule.status(begun, now: now, isUnderWay: true)
        #expect(underWay.message == "The certificate is being requested." && underWay.nextTry == nil)
    }

    @Test func aClockThatWasAheadPutsNothingOffForYears() {
        let later = day(2000)
        let failed = CertificateSchedule.failed(
            CertificateSchedule.begun(record, file: "1", now: later, jitter: 0), Problem(.conflict, "no"),
            isTransient: false, now: later, jitter: 0)
        #expect(CertificateSchedule.step(failed, now: now) == .begin)
    }

    @Test(arguments: [
        (["a.test", "*.a.test"], ["a.test", "*.a.test"]),
        (["*.a.test", "www.a.test", "a.test"], ["*.a.test", "a.test"]),
        (["*.a.test", "x.y.a.test"], ["*.a.test", "x.y.a.test"]),
    ])
    func namesThatAWildcardCoversAreNotOrdered(names: [String], ordered: [String]) {
        #expect(CertificateRecord(names: names).orderedNames == ordered)
    }

    @Test func whoAsksForItDoesNotWait() {
        let refused = CertificateSchedule.failed(
            CertificateSchedule.begun(record, file: "1", now: now, jitter: 0), Problem(.conflict, "no"),
            isTransient: false, now: now, jitter: 0)
        #expect(CertificateSchedule.asked(refused, attempt: nil) == refused)
        let asked = CertificateSchedule.asked(refused, attempt: 1)
        #expect(CertificateSchedule.step(asked, now: now) == .begin)
        #expect(CertificateSchedule.status(asked, now: now, isUnderWay: false).state == .pending)
        // Once is enough, and what there is is not ordered again.
        #expect(CertificateSchedule.asked(asked, attempt: 1) == asked)
        let begun = CertificateSchedule.begun(asked, file: "2", now: now, jitter: 0)
        let issued = CertificateSchedule.issued(begun, notBefore: now, notAfter: day(90), jitter: 0)
        #expect(CertificateSchedule.asked(issued, attempt: 1) == issued)
        let again = CertificateSchedule.asked(issued, attempt: 2)
        #expect(CertificateSchedule.step(again, now: now) == CertificateSchedule.step(issued, now: now))
    }

    @Test func anOrderThatTheAuthorityTookIsTakenUpAgainForADay() throws {
        let begun = CertificateSchedule.begun(record, file: "1", now: now, jitter: 0)
        let ordered = CertificateSchedule.ordered(begun, url: "https://ca.test/1")
        #expect(CertificateSchedule.step(ordered, now: now) == .resume(try #require(ordered.order)))
        #expect(CertificateSchedule.step(ordered, now: day(2)) == .begin)
    }

    @Test func failuresWaitTwiceAsLongEachTimeUpToADay() {
        var failed = record
        var waits: [Duration] = []
        for _ in 1...12 {
            failed = CertificateSchedule.begun(failed, file: "1", now: now, jitter: 0)
            failed = CertificateSchedule.failed(
                failed, Problem(.conflict, "no"), isTransient: false, now: now, jitter: 0)
            waits.append(failed.nextTry!.since(now))
        }
        #expect(waits.prefix(4) == [.seconds(300), .seconds(600), .seconds(1200), .seconds(2400)])
        #expect(waits.last == .seconds(86_400))
        #expect(failed.order == nil)
    }

    @Test func aNetworkThatIsAwayKeepsTheOrder() {
        let begun = CertificateSchedule.begun(record, file: "1", now: now, jitter: 0)
        let ordered = CertificateSchedule.ordered(begun, url: "https://ca.test/1")
        let failed = CertificateSchedule.failed(
            ordered, Problem(.unavailable, "away"), isTransient: true, now: now, jitter: 1)
        #expect(failed.order == ordered.order)
        #expect(failed.nextTry == now.advanced(by: .milliseconds(12_500)))
    }

    @Test func theAuthoritysOwnTimeToComeAgainCounts() {
        let limited = Problem(.rateLimited, "limit", retryAfter: .seconds(50_000))
        let failed = CertificateSchedule.failed(record, limited, isTransient: false, now: now, jitter: 0)
        #expect(failed.nextTry == now.advanced(by: .seconds(50_000)))
        let absurd = Problem(.rateLimited, "limit", retryAfter: .seconds(1_000_000_000))
        let bounded = CertificateSchedule.failed(record, absurd, isTransient: false, now: now, jitter: 0)
        #expect(bounded.nextTry == day(7))
    }

    @Test func statusesSayWhatAPersonCanActOn() {
        #expect(CertificateSchedule.status(record, now: now, isUnderWay: false).state == .pending)
        let refused = CertificateSchedule.failed(
            record, Problem(.conflict, "a.test does not point here."), isTransient: false, now: now, jitter: 0)
        let failed = CertificateSchedule.status(refused, now: now, isUnderWay: false)
        #expect(failed.state == .failed && failed.message == "a.test does not point here.")
        let begun = CertificateSchedule.begun(record, file: "1", now: now, jitter: 0)
        var issued = CertificateSchedule.issued(begun, notBefore: now, notAfter: day(90), jitter: 0)
        #expect(CertificateSchedule.status(issued, now: now, isUnderWay: false).message == nil)
        issued = CertificateSchedule.failed(
            issued, Problem(.unavailable, "away"), isTransient: true, now: day(70), jitter: 0)
        #expect(CertificateSchedule.status(issued, now: day(70), isUnderWay: false).state == .active)
        #expect(CertificateSchedule.status(issued, now: day(91), isUnderWay: false).state == .failed)
    }
}
