import Crypto
import Model

/// Speaks ACME (RFC 8555) for one account.
actor ACMEClient {
    struct Order: Sendable {
        var status: String
        var authorizations: [String]
        var finalize: String
        var certificate: String?
        var problem: String?
        var retryAfter: Duration?
    }

    struct Authorization: Sendable {
        var name: String
        var isWildcard: Bool
        var status: String
        /// Type → token and address.
        var challenges: [String: (token: String, url: String)]
        /// What a challenge failed for.
        var problem: String?
        var retryAfter: Duration?
    }

    private static let attemptsMax = 8

    private let directoryURL: String
    private let transport: any ACMETransport
    nonisolated let signature: JSONWebSignature
    private var directory: [String: String]?
    private var account: String?
    private var contacts: [String] = []
    private var nonces: [String] = []

    init(directoryURL: String, transport: any ACMETransport, key: P256.Signing.PrivateKey) {
        self.directoryURL = directoryURL
        self.transport = transport
        signature = JSONWebSignature(key: key)
    }

    // MARK: resources

    /// Makes the account, or finds it again by its key (RFC 8555 section 7.3.1). The contacts of one that is found stay
    /// as they were, so that others are sent to it (section 7.3.2).
    func register(contacts: [String]) async throws {
        guard account == nil else { return }
        self.contacts = contacts
        let wanted = contacts.map { JSONValue.string("mailto:\($0)") }
        let reply = try await post(
            try await endpoint("newAccount"), ["termsOfServiceAgreed": true, "contact": .array(wanted)],
            signer: .key)
        guard let location = reply.location else { throw unreadable("account") }
        account = location
        // An authority that does not tell the contacts, as some do, is told them each time.
        let known = try JSONParser.parse(reply.body)["contact"]?.arrayValue
        if reply.status == 200, known ?? [] != wanted {
            _ = try await post(location, ["contact": .array(wanted)], signer: .newAccount)
        }
    }

    /// - Returns: the order's address.
    func newOrder(names: [String]) async throws -> String {
        let identifiers = names.map { name -> JSONValue in ["type": "dns", "value": .string(name)] }
        let reply = try await post(try await endpoint("newOrder"), ["identifiers": .array(identifiers)])
        guard let location = reply.location else { throw unreadable("order") }
        return location
    }

    func order(_ url: String) async throws -> Order {
        let reply = try await post(url, nil)
        return try order(reply)
    }

    private func order(_ reply: ACMEReply) throws -> Order {
        let json = try JSONParser.parse(reply.body)
        guard let status = json["status"]?.stringValue, let finalize = json["finalize"]?.stringValue else {
            throw unreadable("order")
        }
        return Order(
            status: status, authorizations: json["authorizations"]?.arrayValue?.compactMap(\.stringValue) ?? [],
            finalize: finalize, certificate: json["certificate"]?.stringValue,
            problem: json["error"].map { Self.detail($0) }, retryAfter: reply.retryAfter)
    }

    func authorization(_ url: String) async throws -> Authorization {
        let reply = try await post(url, nil)
        let json = try JSONParser.parse(reply.body)
        guard let status = json["status"]?.stringValue, let name = json["identifier"]?["value"]?.stringValue else {
            throw unreadable("authorization")
        }
        var authorization = Authorization(
            name: name, isWildcard: json["wildcard"]?.boolValue ?? false, status: status, challenges: [:],
            problem: nil, retryAfter: reply.retryAfter)
        for challenge in json["challenges"]?.arrayValue ?? [] {
            guard let type = challenge["type"]?.stringValue, let url = challenge["url"]?.stringValue else { continue }
            if let token = challenge["token"]?.stringValue { authorization.challenges[type] = (token, url) }
            if let error = challenge["error"] { authorization.problem = Self.detail(error) }
        }
        return authorization
    }

    /// Tells the authority that a challenge is ready to be looked at.
    func respond(_ url: String) async throws { _ = try await post(url, [:]) }

    func finalize(_ url: String, request der: [UInt8]) async throws -> Order {
        try order(try await post(url, ["csr": .string(JSONWebSignature.base64URL(der))]))
    }

    /// The chain in PEM form.
    func download(_ url: String) async throws -> [UInt8] { try await post(url, nil).body }

    // MARK: requests

    /// Who signs a request (RFC 8555 section 6.2).
    private enum Signer {
        /// The key itself, which is sent along.
        case key
        /// The account, which is made again when the authority does not know it.
        case account
        /// The account that was made just now.
        case newAccount
    }

    private func endpoint(_ name: String) async throws -> String {
        if directory == nil {
            let reply = try await transport.send(directoryURL, body: nil)
            guard reply.status == 200 else { throw refusal(reply) }
            directory = try JSONParser.parse(reply.body).objectValue?.compactMapValues(\.stringValue)
        }
        guard let url = directory?[name] else { throw unreadable("directory") }
        return url
    }

    private func nonce() async throws -> String {
        if let nonce = nonces.popLast() { return nonce }
        guard let nonce = try await transport.send(try await endpoint("newNonce"), body: nil).nonce else {
            throw unreadable("nonce")
        }
        return nonce
    }

    /// A nonce that the authority no longer knows is replaced, as RFC 8555 section 6.5 asks for, and so is an account.
    private func post(_ url: String, _ payload: JSONValue?, signer: Signer = .account) async throws -> ACMEReply {
        for _ in 0..<Self.attemptsMax {
            let nonce = try await nonce()
            if signer == .account, account == nil { try await register(contacts: contacts) }
            let name = signer == .key ? nil : account
            // Another request found meanwhile that the authority does not know it.
            if signer != .key, name == nil { continue }
            let body = try signature.sign(payload, url: url, nonce: nonce, account: name)
            let reply = try await transport.send(url, body: body)
            if let fresh = reply.nonce, nonces.count < 16 { nonces.append(fresh) }
            if (200...299).contains(reply.status) { return reply }
            let problem = refusal(reply)
            switch problem.code {
            case Self.badNonce: continue
            case Self.unknownAccount where signer == .account:
                if account == name { account = nil }
            default: throw problem
            }
        }
        throw Problem(.unavailable, "The certificate authority takes neither its own nonces nor its accounts.")
    }

    private static let badNonce = Problem.Code("bad_nonce")
    private static let unknownAccount = Problem.Code("unknown_account")

    private func refusal(_ reply: ACMEReply) -> Problem {
        // A body that is no JSON is one more reason to refuse; the status says enough.
        let json = try? JSONParser.parse(reply.body)
        let type = json?["type"]?.stringValue.map { $0.split(separator: ":").last.map(String.init) ?? "" } ?? ""
        let detail = json.map { Self.detail($0) } ?? "status \(reply.status)."
        switch type {
        case "badNonce": return Problem(Self.badNonce, detail)
        case "accountDoesNotExist": return Problem(Self.unknownAccount, detail)
        case "rateLimited":
            return Problem(
                .rateLimited, "The certificate authority's limit is reached: \(detail)",
                retryAfter: reply.retryAfter ?? .seconds(3600))
        default:
            if reply.status >= 500 || reply.status == 429 {
                return Problem(
                    .unavailable, "The certificate authority is not available: \(detail)",
                    retryAfter: reply.retryAfter)
            }
            let code = reply.status == 404 ? Problem.Code.notFound : .conflict
            return Problem(code, "The certificate authority refused: \(detail)", context: type)
        }
    }

    /// The sentence of a problem document (RFC 9457), its parts' sentences with it; one bounded line with a full stop.
    private static func detail(_ json: JSONValue) -> String {
        let parts = [json] + (json["subproblems"]?.arrayValue ?? [])
        let text = parts.compactMap { $0["detail"]?.stringValue }.joined(separator: " ")
        let line = String(text.map { $0.isNewline ? " " : $0 }.prefix(500))
        return line.hasSuffix(".") ? line : "\(line)."
    }

    private func unreadable(_ what: String) -> Problem {
        Problem(.unavailable, "The certificate authority sent an answer that cannot be read.", context: what)
    }
}
