import Model
public import ResourceKit

/// A certificate for an FQDN.
public let certificateKind = ResourceKind(
    name: "certificate", plural: "certificates", summary: "A certificate that was uploaded for an FQDN.",
    parent: .init(kind: "fqdn", field: "fqdn_id"), isAsynchronous: true, verbs: [.list, .create, .read, .delete],
    fields: [
        Field(
            "cert_pem", .text(bytesMax: 65_536), "The certificate in PEM form; its chain may follow in it.",
            required: true, immutable: true),
        Field(
            "key_pem", .text(bytesMax: 16_384), "Its private key in PEM form, without a passphrase; never shown.",
            required: true, secret: true, immutable: true),
        Field(
            "chain_pem", .text(bytesMax: 65_536),
            "Certificates of its authorities in PEM form, each signed by the next.", immutable: true),
    ],
    reported: [
        Field("issuer", .line, "Who signed it."),
        Field("subject_names", .list(of: .line, countMax: 1000), "Names that it is for."),
        Field("serial", .line, "Its serial number, in hexadecimal."),
        Field("not_before", .line, "From when on it is valid."), Field("not_after", .line, "Until when it is valid."),
        Field("fingerprint", .line, "SHA-256 of it, in hexadecimal."),
        Field("is_current", .boolean, "Whether it is the newest valid one of the FQDN."),
    ],
    claims: { record in
        let text = record.spec["cert_pem"]?.stringValue ?? ""
        guard let print = Certificates.chain(text, nil)?.first?.fingerprint else { return [] }
        return ["certificate/\(record.parentId ?? "")/\(print)"]
    }, claimedFields: ["cert_pem"],
    columns: ["issuer", "serial", "not_after", "is_current"], searched: ["serial", "fingerprint", "issuer"],
    validate: Certificates.validate, behaviour: CertificateBehaviour())

/// Rules of uploaded certificates.
public enum Certificates {
    /// The certificate and its chain; nil when one of them cannot be read.
    static func chain(_ certificate: String, _ more: String?) -> [X509Certificate]? {
        guard let own = PEMBlocks.read(certificate), let rest = more.map({ PEMBlocks.read($0) }) ?? [] else {
            return nil
        }
        let blocks = own + rest
        guard blocks.allSatisfy({ $0.label == "CERTIFICATE" }) else { return nil }
        do {
            return try blocks.map { try X509Certificate(der: $0.bytes) }
        } catch {
            return nil
        }
    }

    @Sendable static func validate(_ spec: [String: JSONValue], _ flaws: inout FieldFlaws) {
        guard let text = spec["cert_pem"]?.stringValue, let own = chain(text, nil), let leaf = own.first else {
            return flaws.add("cert_pem", "must be certificates in PEM form")
        }
        let more = spec["chain_pem"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
        guard let all = chain(text, more) else {
            return flaws.add("chain_pem", "must be certificates in PEM form")
        }
        switch PrivateKeyMatch.compare(spec["key_pem"]?.stringValue ?? "", with: leaf.publicKey) {
        case .same: break
        case .other: flaws.add("key_pem", "is not the key of the certificate")
        case .unreadable: flaws.add("key_pem", "must be a private key in PEM form: RSA, ECDSA or Ed25519")
        case .locked: flaws.add("key_pem", "must not be locked with a passphrase")
        }
        for (index, pair) in zip(all, all.dropFirst()).enumerated() {
            let field = index + 1 < own.count ? "cert_pem" : "chain_pem"
            guard pair.0.issuer.elementsEqual(pair.1.subject), pair.1.isAuthority else {
                return flaws.add(
                    field, "is not in order: certificate \(index + 2) is not the authority that signed the one before")
            }
            switch pair.0.signature.check(with: pair.1.publicKey) {
            case .genuine: break
            case .forged:
                return flaws.add(field, "has a certificate \(index + 2) whose key did not sign the one before")
            case .unknown:
                return flaws.add(
                    field,
                    "has a certificate \(index + 1) that is signed otherwise than with RSA, ECDSA or Ed25519 and SHA-2")
            }
        }
    }

    /// Notes which certificate of an FQDN is the newest valid one, and with the FQDN whether there is one.
    /// - Parameter leaving: id of one that is about to go.
    /// - Throws: what the store throws.
    public static func refresh(
        fqdnId: String, leaving: String? = nil, _ transaction: any ResourceTransaction
    ) throws {
        func time(_ record: ResourceRecord, _ field: String) -> Timestamp? {
            record.state[field]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
        }
        let all = try transaction.all("certificate", parentId: fqdnId)
        let now = transaction.now
        let valid = all.filter { record in
            guard record.id != leaving, record.status != .deleting, let start = time(record, "not_before"),
                let end = time(record, "not_after")
            else { return false }
            return start <= now && now < end
        }
        // Of two that begin alike, the one that came later.
        let current = valid.enumerated().max { left, right in
            let (a, b) = (time(left.element, "not_before"), time(right.element, "not_before"))
            return a == b ? left.offset < right.offset : (a ?? now) < (b ?? now)
        }?.element.id
        let changed = all.filter { $0.state["is_current"] != .bool($0.id == current) }
        for var record in changed {
            record.state["is_current"] = .bool(record.id == current)
            _ = try transaction.put(record)
        }
        if !changed.isEmpty { try FQDNBinding.noteCertificate(of: fqdnId, transaction) }
    }
}

struct CertificateBehaviour: KindBehaviour {
    var settles: Bool { true }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let leaf = Certificates.chain(record.spec["cert_pem"]?.stringValue ?? "", nil)?.first,
            let fqdn = try record.parentId.flatMap({ try transaction.get("fqdn", $0) })
        else { throw Problem.invalid("cert_pem", "must be certificates in PEM form") }
        guard leaf.covers(FQDNs.name(fqdn)) else {
            throw Problem.invalid("cert_pem", "is for other names than \(FQDNs.name(fqdn))")
        }
        guard leaf.notAfter > transaction.now else {
            throw Problem.invalid("cert_pem", "has ended on \(leaf.notAfter.rfc3339)")
        }
        var record = record
        record.state["issuer"] = .string(leaf.issuerText)
        record.state["subject_names"] = .array(leaf.names.prefix(1000).map { .string($0) })
        record.state["serial"] = .string(leaf.serial)
        record.state["not_before"] = .string(leaf.notBefore.rfc3339)
        record.state["not_after"] = .string(leaf.notAfter.rfc3339)
        record.state["fingerprint"] = .string(leaf.fingerprint)
        _ = try transaction.put(record)
        try Certificates.refresh(fqdnId: fqdn.id, transaction)
    }

    /// It was checked when it came, and no server of a cluster takes it yet.
    func settle(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Settlement? {
        let end = record.state["not_after"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
        if let end, end <= transaction.now { return .failed("It has ended on \(end.rfc3339); upload another one.") }
        return .active(nil)
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        if let fqdnId = record.parentId { try Certificates.refresh(fqdnId: fqdnId, leaving: record.id, transaction) }
        return true
    }
}
