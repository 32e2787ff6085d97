/// What a DNS record says.
public enum RecordType: String, Sendable, CaseIterable {
    case a = "A"
    case aaaa = "AAAA"
    case alias = "ALIAS"
    case caa = "CAA"
    case cname = "CNAME"
    case ds = "DS"
    case https = "HTTPS"
    case mx = "MX"
    case naptr = "NAPTR"
    case ns = "NS"
    case openPGPKey = "OPENPGPKEY"
    case ptr = "PTR"
    case smimea = "SMIMEA"
    case srv = "SRV"
    case sshfp = "SSHFP"
    case svcb = "SVCB"
    case tlsa = "TLSA"
    case txt = "TXT"
    case uri = "URI"

    /// What stands for the priority when neither the field nor the content gives one; nil for types without.
    public var defaultPriority: Int64? {
        switch self {
        case .mx: 10
        case .srv, .uri: 0
        case .https, .svcb: 1
        default: nil
        }
    }

    /// How many words the content has without the priority, where the content may begin with it.
    var wordsAfterPriority: ClosedRange<Int> {
        switch self {
        case .mx: 1...1
        case .uri: 2...2
        case .srv: 3...3
        default: 1...64
        }
    }
}
