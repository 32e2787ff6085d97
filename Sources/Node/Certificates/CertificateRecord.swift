import Model

/// What is remembered of one set of names; kept on disk, and written before each act that it must not forget.
struct CertificateRecord: Codable, Sendable, Equatable {
    /// A certificate in use.
    struct Kept: Codable, Sendable, Equatable {
        /// Its files are this with `.crt` and `.key`.
        var file: String
        var notAfter: Timestamp
        /// When its renewal begins; nil for an uploaded one.
        var renewAt: Timestamp?
    }

    /// An order under way.
    struct Order: Codable, Sendable, Equatable {
        /// Of the key that the certificate will be for; on disk before the order is sent.
        var file: String
        /// The authority's address for it; nil until it answered.
        var url: String?
        var startedAt: Timestamp
        /// Attempts in a row just before this one that were cut short before the authority answered; nil is none.
        var interruptions: Int?
    }

    var names: [String]
    var current: Kept?
    var order: Order?
    var failures = 0
    var lastError: String?
    /// No attempt before then.
    var nextTry: Timestamp?
    /// Directory of the authority that all of this is about; nil before it is known.
    var directory: String?
    /// Of the ``WantedCertificate`` that it was last wanted by.
    var attempt: Int?

    init(names: [String]) { self.names = names }

    /// The names without those that a wildcard among them covers: authorities refuse an order that has both.
    var orderedNames: [String] {
        names.filter { name in
            guard !name.hasPrefix("*."), let dot = name.firstIndex(of: ".") else { return true }
            return !names.contains("*\(name[dot...])")
        }
    }
}

/// When to order, renew and try again. Pure: the record, the time and a random number in, the next record out.
enum CertificateSchedule {
    enum Step: Equatable {
        /// Nothing to do before then.
        case wait(until: Timestamp)
        case begin
        case resume(CertificateRecord.Order)
    }

    /// How long an order may be taken up again after an interruption.
    static let orderLifetime = Duration.seconds(86_400)
    /// The authority counts failed validations by the hour: the first attempts of an hour must not use them up.
    static let backoffFirst = Duration.seconds(300)
    static let backoffMax = Duration.seconds(86_400)
    /// After a failure that has nothing to do with the order, such as a network that is away.
    static let transientFirst = Duration.seconds(10)
    static let transientMax = Duration.seconds(3600)
    /// After an attempt that was cut short. What did so was most likely a restart, and a site waits for it.
    static let interruptedFirst = Duration.seconds(5)
    static let interruptedMax = Duration.seconds(3600)
    /// No wait is longer, so that a clock that was wrong for a while puts nothing off for years.
    static let waitMax = Duration.seconds(8 * 86_400)

    static func step(_ record: CertificateRecord, now: Timestamp) -> Step {
        if let nextTry = record.nextTry, nextTry > now, nextTry <= now.advanced(by: waitMax) {
            return .wait(until: nextTry)
        }
        if let order = record.order, order.url != nil, order.startedAt.advanced(by: orderLifetime) > now {
            return .resume(order)
        }
        guard let current = record.current, record.order == nil else { return .begin }
        guard let renewAt = current.renewAt, renewAt <= now else {
            return .wait(until: current.renewAt ?? current.notAfter.advanced(by: .seconds(3650 * 86_400)))
        }
        return .begin
    }

    /// At another authority than before, what was begun, put off and refused counts for nothing, and what was issued is
    /// replaced; it serves until then.
    static func adopted(_ record: CertificateRecord, directory: String, now: Timestamp) -> CertificateRecord {
        guard record.directory != directory else { return record }
        var next = record
        next.directory = directory
        guard record.directory != nil else { return next }
        next.order = nil
        next.failures = 0
        next.lastError = nil
        next.nextTry = nil
        next.current?.renewAt = now
        return next
    }

    /// Once somebody has asked for it, what was put off is due: what stood in the way may be mended.
    static func asked(_ record: CertificateRecord, attempt: Int?) -> CertificateRecord {
        guard record.attempt != attempt else { return record }
        var next = record
        next.attempt = attempt
        next.failures = 0
        next.lastError = nil
        next.nextTry = nil
        return next
    }

    /// A certificate that was made here.
    static func made(_ record: CertificateRecord, file: String, notAfter: Timestamp) -> CertificateRecord {
        var next = CertificateRecord(names: record.names)
        next.current = CertificateRecord.Kept(
            file: file, notAfter: notAfter, renewAt: notAfter.advanced(by: .seconds(-30 * 86_400)))
        return next
    }

    /// Noted before an order is sent. Whatever cuts the attempt short, the next one waits, and longer each time: a
    /// program that dies over and over must not order over and over.
    static func begun(
        _ record: CertificateRecord, file: String, now: Timestamp, jitter: Double
    ) -> CertificateRecord {
        var next = record
        let interruptions = record.order.map { $0.url == nil ? ($0.interruptions ?? 0) + 1 : 0 } ?? 0
        next.order = CertificateRecord.Order(file: file, url: nil, startedAt: now, interruptions: interruptions)
        next.nextTry = now.advanced(by: backoff(interruptions + 1, interruptedFirst, interruptedMax, jitter))
        return next
    }

    /// The authority took the order: it is taken up again at once after an interruption.
    static func ordered(_ record: CertificateRecord, url: String) -> CertificateRecord {
        var next = record
        next.order?.url = url
        next.nextTry = nil
        return next
    }

    static func issued(
        _ record: CertificateRecord, notBefore: Timestamp, notAfter: Timestamp, jitter: Double
    ) -> CertificateRecord {
        guard let order = record.order else { return record }
        var next = CertificateRecord(names: record.names)
        next.directory = record.directory
        next.attempt = record.attempt
        next.current = CertificateRecord.Kept(
            file: order.file, notAfter: notAfter, renewAt: renewal(notBefore, notAfter, jitter))
        return next
    }

    /// With a third of the lifetime left, or up to a twelfth of it earlier: not all of a server's certificates at once.
    static func renewal(_ notBefore: Timestamp, _ notAfter: Timestamp, _ jitter: Double) -> Timestamp {
        let lifetime = Double(max(0, notAfter.millisecondsSinceEpoch - notBefore.millisecondsSinceEpoch))
        let left = lifetime / 3 + lifetime / 12 * jitter
        return notAfter.advanced(by: .milliseconds(-Int64(left)))
    }

    /// - Parameter isTransient: the order is as good as before and is taken up again.
    static func failed(
        _ record: CertificateRecord, _ problem: Problem, isTransient: Bool, now: Timestamp, jitter: Double
    ) -> CertificateRecord {
        var next = record
        next.failures += 1
        next.lastError = problem.description
        let wait =
            isTransient
            ? backoff(next.failures, transientFirst, transientMax, jitter)
            : backoff(next.failures, backoffFirst, backoffMax, jitter)
        next.nextTry = now.advanced(by: max(wait, min(problem.retryAfter ?? .zero, .seconds(7 * 86_400))))
        if !isTransient || record.order?.url == nil { next.order = nil }
        return next
    }

    private static func backoff(_ failures: Int, _ first: Duration, _ limit: Duration, _ jitter: Double) -> Duration {
        let doubled = first * (1 << min(max(failures - 1, 0), 20))
        return min(doubled, limit) * (1 + jitter / 4)
    }

    /// - Parameter isUnderWay: whether somebody is at work on it, which the record alone does not tell.
    static func status(_ record: CertificateRecord, now: Timestamp, isUnderWay: Bool) -> CertificateStatus {
        var status = CertificateStatus(
            names: record.names, state: .pending, message: nil, notAfter: record.current?.notAfter,
            lastError: record.lastError, nextTry: record.nextTry ?? record.current?.renewAt)
        if isUnderWay { status.nextTry = nil }
        if let current = record.current, current.notAfter > now {
            status.state = .active
            if let error = record.lastError { status.message = "The certificate is valid, but not renewed: \(error)" }
        } else if let error = record.lastError {
            status.state = .failed
            status.message = record.current == nil ? error : "The certificate has ended. \(error)"
        } else if !isUnderWay, let nextTry = record.nextTry, nextTry > now {
            status.message = "The request of the certificate was interrupted; it is made again at \(nextTry.rfc3339)."
        } else {
            status.message = "The certificate is being requested."
        }
        return status
    }
}
