import Crypto

/// Whether a private key is that of a certificate.
enum PrivateKeyMatch {
    /// What came of the comparison.
    enum Outcome { case same, other, unreadable, locked }

    private static let rsa: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]
    private static let ed25519: [UInt8] = [0x2B, 0x65, 0x70]

    /// - Parameters:
    ///   - pem: a key in PEM form: PKCS #8 (RFC 5958), SEC 1 (RFC 5915) or PKCS #1 (RFC 8017).
    ///   - publicKey: of the certificate: SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7).
    static func compare(_ pem: String, with publicKey: ArraySlice<UInt8>) -> Outcome {
        if pem.contains("ENCRYPTED") { return .locked }
        // Some tools put the parameters of the curve in front.
        guard let block = PEMBlocks.read(pem)?.first(where: { $0.label.hasSuffix("PRIVATE KEY") }) else {
            return .unreadable
        }
        do {
            switch block.label {
            case "RSA PRIVATE KEY": return try compareRSA(block.bytes[...], publicKey)
            case "EC PRIVATE KEY": return compareCurves(block, publicKey)
            case "PRIVATE KEY":
                var outer = DERReader(block.bytes[...])
                var key = try outer.next(DERReader.Tag.sequence).reader
                _ = try key.next(DERReader.Tag.integer)
                var algorithm = try key.next(DERReader.Tag.sequence).reader
                let identifier = try algorithm.next(DERReader.Tag.identifier).content
                let inner = try key.next(DERReader.Tag.octets).content
                if identifier.elementsEqual(rsa) { return try compareRSA(inner, publicKey) }
                if identifier.elementsEqual(ed25519) { return try compareEd25519(inner, publicKey) }
                return compareCurves(block, publicKey)
            default: return .unreadable
            }
        } catch {
            return .unreadable
        }
    }

    /// The modulus and the exponent say which key it is.
    private static func compareRSA(
        _ der: ArraySlice<UInt8>, _ publicKey: ArraySlice<UInt8>
    ) throws(DERReader.Flaw) -> Outcome {
        var outer = DERReader(der)
        var key = try outer.next(DERReader.Tag.sequence).reader
        _ = try key.next(DERReader.Tag.integer)
        let own = [try key.next(DERReader.Tag.integer).content, try key.next(DERReader.Tag.integer).content]
        // The private exponent, the primes and what follows from them.
        for _ in 0..<6 { _ = try key.next(DERReader.Tag.integer) }
        guard let bits = try bits(publicKey, rsa) else { return .other }
        var list = DERReader(bits)
        var numbers = try list.next(DERReader.Tag.sequence).reader
        for number in own where try !number.elementsEqual(numbers.next(DERReader.Tag.integer).content) {
            return .other
        }
        return .same
    }

    private static func compareEd25519(
        _ inner: ArraySlice<UInt8>, _ publicKey: ArraySlice<UInt8>
    ) throws -> Outcome {
        var reader = DERReader(inner)
        let seed = try reader.next(DERReader.Tag.octets).content
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: Array(seed))
        guard let bits = try bits(publicKey, ed25519) else { return .other }
        return bits.elementsEqual(key.publicKey.rawRepresentation) ? .same : .other
    }

    /// The key of a SubjectPublicKeyInfo, when it is of this algorithm.
    private static func bits(
        _ publicKey: ArraySlice<UInt8>, _ algorithm: [UInt8]
    ) throws(DERReader.Flaw) -> ArraySlice<UInt8>? {
        var outer = DERReader(publicKey)
        var info = try outer.next(DERReader.Tag.sequence).reader
        var declared = try info.next(DERReader.Tag.sequence).reader
        guard try declared.next(DERReader.Tag.identifier).content.elementsEqual(algorithm) else { return nil }
        return try info.next(DERReader.Tag.bits).content.dropFirst()
    }

    private static func compareCurves(_ block: PEMBlocks.Block, _ publicKey: ArraySlice<UInt8>) -> Outcome {
        let readers: [([UInt8]) throws -> [UInt8]] = [
            { Array(try P256.Signing.PrivateKey(derRepresentation: $0).publicKey.derRepresentation) },
            { Array(try P384.Signing.PrivateKey(derRepresentation: $0).publicKey.derRepresentation) },
            { Array(try P521.Signing.PrivateKey(derRepresentation: $0).publicKey.derRepresentation) },
        ]
        for read in readers {
            do {
                return try read(block.bytes).elementsEqual(publicKey) ? .same : .other
            } catch {
                // Of another curve, perhaps of the next.
                continue
            }
        }
        return .unreadable
    }
}
