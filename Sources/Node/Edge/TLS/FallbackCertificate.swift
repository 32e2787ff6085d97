import CertificateEncoding
import Crypto
import Model

/// The self-signed certificate for names that none was given for: a browser warns of it, a developer may trust it.
enum FallbackCertificate {
    static let lifetime = Duration.seconds(365 * 86_400)
    /// A certificate with less time than this left is made anew.
    static let renewal = Duration.seconds(30 * 86_400)

    /// The one in `folder`, made first when there is none that can be used.
    /// - Throws: `storage_failed` when it cannot be kept, `internal_error` when none can be made.
    static func load(folder: String, now: Timestamp) throws(Problem) -> CertificatePair {
        let (certificatePath, keyPath) = (folder + "/fallback.crt", folder + "/fallback.key")
        // Whatever is wrong with the files, new ones are the cure.
        if let pair = try? CertificatePair(certificatePath: certificatePath, keyPath: keyPath),
            pair.notAfter > now.advanced(by: renewal)
        {
            return pair
        }
        let key = P256.Signing.PrivateKey()
        let der: [UInt8]
        do {
            der = try SelfSignedCertificate.der(
                names: ["localhost", "*.localhost"],
                addresses: [[127, 0, 0, 1], [UInt8](repeating: 0, count: 15) + [1]], key: key,
                from: now.advanced(by: .seconds(-3600)), to: now.advanced(by: lifetime))
        } catch {
            throw Problem(wrapping: error, doing: "Making a self-signed certificate")
        }
        // The key goes first: a cut in between leaves a pair that does not match, which is made again.
        try TableFile(path: keyPath, content: "certificate").write(Array((key.pemRepresentation + "\n").utf8))
        try TableFile(path: certificatePath, content: "certificate").write(Array(PEM.encode("CERTIFICATE", der).utf8))
        return try CertificatePair(certificatePath: certificatePath, keyPath: keyPath)
    }
}
