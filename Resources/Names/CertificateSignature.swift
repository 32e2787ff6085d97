import Crypto
import CryptoExtras

/// The signature of a certificate (RFC 5280 section 4.1.1.3).
struct CertificateSignature {
    /// What came of the check; `unknown` for an algorithm that is not among those checked here.
    enum Outcome { case genuine, forged, unknown }

    /// What was signed, in DER.
    let content: ArraySlice<UInt8>
    /// Object identifier of the algorithm.
    let algorithm: ArraySlice<UInt8>
    /// Object identifier of the hash that the parameters of RSASSA-PSS name.
    let parameterHash: ArraySlice<UInt8>?
    let bits: ArraySlice<UInt8>

    private static let rsa: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01]
    private static let curves: [UInt8] = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03]
    private static let hashes: [UInt8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02]
    private static let ed25519: [UInt8] = [0x2B, 0x65, 0x70]

    /// - Parameters:
    ///   - signed: the certificate without its outermost head: what is signed, the algorithm, the signature.
    init(_ signed: DERReader) throws(DERReader.Flaw) {
        var signed = signed
        content = try signed.next(DERReader.Tag.sequence).whole
        var declared = try signed.next(DERReader.Tag.sequence).reader
        algorithm = try declared.next(DERReader.Tag.identifier).content
        parameterHash = declared.isAtEnd ? nil : Self.hash(inParameters: declared)
        bits = try signed.next(DERReader.Tag.bits).content.dropFirst()
    }

    /// RFC 4055 section 3.1; nil for other parameters.
    private static func hash(inParameters reader: DERReader) -> ArraySlice<UInt8>? {
        var reader = reader
        do {
            var parameters = try reader.next(DERReader.Tag.sequence).reader
            guard var tagged = try parameters.optional(0xA0)?.reader else { return nil }
            var hash = try tagged.next(DERReader.Tag.sequence).reader
            return try hash.next(DERReader.Tag.identifier).content
        } catch {
            // Most algorithms have other parameters or none.
            return nil
        }
    }

    /// Whether it was made with the private half of a key.
    /// - Parameter publicKey: SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7).
    func check(with publicKey: ArraySlice<UInt8>) -> Outcome {
        do {
            if algorithm.elementsEqual(Self.ed25519) { return try checkEd25519(publicKey) }
            guard let last = algorithm.last else { return .unknown }
            switch Array(algorithm.dropLast()) {
            case Self.rsa: return try checkRSA(last, publicKey)
            case Self.curves: return try checkCurves(last, publicKey)
            default: return .unknown
            }
        } catch {
            // A key of another algorithm than the signature has not made it.
            return .forged
        }
    }

    private func checkRSA(_ last: UInt8, _ publicKey: ArraySlice<UInt8>) throws -> Outcome {
        let key = try _RSA.Signing.PublicKey(derRepresentation: publicKey)
        let signature = _RSA.Signing.RSASignature(rawRepresentation: bits)
        func outcome(_ digest: some Digest, _ padding: _RSA.Signing.Padding) -> Outcome {
            key.isValidSignature(signature, for: digest, padding: padding) ? .genuine : .forged
        }
        let hash = parameterHash.flatMap { $0.dropLast().elementsEqual(Self.hashes) ? $0.last : nil }
        switch (last, hash) {
        case (0x0B, _): return outcome(SHA256.hash(data: content), .insecurePKCS1v1_5)
        case (0x0C, _): return outcome(SHA384.hash(data: content), .insecurePKCS1v1_5)
        case (0x0D, _): return outcome(SHA512.hash(data: content), .insecurePKCS1v1_5)
        case (0x0A, 1): return outcome(SHA256.hash(data: content), .PSS)
        case (0x0A, 2): return outcome(SHA384.hash(data: content), .PSS)
        case (0x0A, 3): return outcome(SHA512.hash(data: content), .PSS)
        default: return .unknown
        }
    }

    private func checkCurves(_ last: UInt8, _ publicKey: ArraySlice<UInt8>) throws -> Outcome {
        switch last {
        case 2: try checkCurves(SHA256.hash(data: content), publicKey)
        case 3: try checkCurves(SHA384.hash(data: content), publicKey)
        case 4: try checkCurves(SHA512.hash(data: content), publicKey)
        default: .unknown
        }
    }

    private func checkCurves(_ digest: some Digest, _ publicKey: ArraySlice<UInt8>) throws -> Outcome {
        let checks: [() throws -> Bool] = [
            {
                let key = try P256.Signing.PublicKey(derRepresentation: publicKey)
                return key.isValidSignature(try .init(derRepresentation: bits), for: digest)
            },
            {
                let key = try P384.Signing.PublicKey(derRepresentation: publicKey)
                return key.isValidSignature(try .init(derRepresentation: bits), for: digest)
            },
            {
                let key = try P521.Signing.PublicKey(derRepresentation: publicKey)
                return key.isValidSignature(try .init(derRepresentation: bits), for: digest)
            },
        ]
        for check in checks {
            do {
                return try check() ? .genuine : .forged
            } catch {
                // Of another curve, perhaps of the next.
                continue
            }
        }
        return .forged
    }

    private func checkEd25519(_ publicKey: ArraySlice<UInt8>) throws -> Outcome {
        var outer = DERReader(publicKey)
        var info = try outer.next(DERReader.Tag.sequence).reader
        var declared = try info.next(DERReader.Tag.sequence).reader
        guard try declared.next(DERReader.Tag.identifier).content.elementsEqual(Self.ed25519) else { return .forged }
        let raw = try info.next(DERReader.Tag.bits).content.dropFirst()
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: raw)
        return key.isValidSignature(bits, for: content) ? .genuine : .forged
    }
}
