import Logging
import Model
import NIOSSL
import Synchronization

/// The certificates in force, by name. Handshakes ask it; a new table replaces its content without touching open
/// connections, which go on with the one that they have.
final class CertificateStore: Sendable {
    private struct State {
        var byName: [String: CertificatePair] = [:]
        var statuses: [EdgeCertificateStatus]?
    }

    private let fallback: CertificatePair
    private let state = Mutex(State())

    /// - Parameter fallback: shown for names that no certificate is for.
    init(fallback: CertificatePair) { self.fallback = fallback }

    /// Some certificate of the table is not shown as it should be; worth another look when the same table comes again.
    var hasProblems: Bool { state.withLock { $0.statuses?.contains { $0.problem != nil } ?? false } }
    var statuses: [EdgeCertificateStatus]? { state.withLock { $0.statuses } }

    /// Reads what is new and keeps what has not changed, with the sessions that clients may resume. A certificate that
    /// cannot be used leaves the former one of each of its names in place. Blocks: never called on an event loop.
    func replace(with certificates: [EdgeCertificate]?) {
        let former = state.withLock { $0 }
        var known: [[String]: CertificatePair] = [:]
        for pair in former.byName.values { known[pair.stamps.map(\.path)] = pair }
        var next = State()
        next.statuses = certificates.map { _ in [] }
        for certificate in certificates ?? [] {
            var status = EdgeCertificateStatus(
                names: certificate.names, certificatePath: certificate.certificatePath)
            do {
                let pair = try Self.pair(certificate, known)
                status.notAfter = pair.notAfter
                for name in certificate.names where next.byName[name] == nil { next.byName[name] = pair }
            } catch {
                status.problem = error.description
                for name in certificate.names where next.byName[name] == nil {
                    next.byName[name] = former.byName[name]
                }
            }
            next.statuses?.append(status)
        }
        state.withLock { $0 = next }
    }

    private static func pair(
        _ certificate: EdgeCertificate, _ known: [[String]: CertificatePair]
    ) throws(Problem) -> CertificatePair {
        let (chain, key) = (certificate.certificatePath, certificate.keyPath)
        if let pair = known[[chain, key]], pair.isCurrent(certificatePath: chain, keyPath: key) { return pair }
        return try CertificatePair(certificatePath: chain, keyPath: key)
    }

    /// What to show to a client that asks for `name` (RFC 6066 section 3): the exact name, then the wildcard of its
    /// parent, then the fallback.
    func context(for name: String?) -> NIOSSLContext {
        guard var name = name?.lowercased(), name.utf8.count <= 255 else { return fallback.context }
        if name.hasSuffix(".") { name.removeLast() }
        return state.withLock { state in
            if let pair = state.byName[name] { return pair.context }
            guard let dot = name.firstIndex(of: ".") else { return fallback.context }
            return state.byName["*" + name[dot...]]?.context ?? fallback.context
        }
    }
}
