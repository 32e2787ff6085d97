/// Parts that certificates and their requests share.
enum CertificateParts {
    static let ecdsaWithSHA256 = DER.sequence(DER.identifier([1, 2, 840, 10045, 4, 3, 2]))

    static func commonName(_ text: String) -> [UInt8] {
        DER.sequence(DER.set(DER.sequence(DER.identifier([2, 5, 4, 3]), DER.utf8(text))))
    }

    static func `extension`(_ arcs: [UInt64], isCritical: Bool = false, _ value: [UInt8]) -> [UInt8] {
        DER.sequence(DER.identifier(arcs), isCritical ? DER.boolean(true) : [], DER.octets(value))
    }

    /// `subjectAltName` (RFC 5280 section 4.2.1.6).
    static func alternativeNames(_ names: [String], addresses: [[UInt8]] = []) -> [UInt8] {
        let entries = names.map { DER.implicit(2, Array($0.utf8)) } + addresses.map { DER.implicit(7, $0) }
        return `extension`([2, 5, 29, 17], DER.sequence(entries.flatMap { $0 }))
    }
}
