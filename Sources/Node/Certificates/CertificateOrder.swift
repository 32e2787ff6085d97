import CertificateEncoding
import Crypto
import Host
import Model

/// Takes one order from its address to a certificate. Every step asks the authority how things stand, so that it may be
/// begun again from the start after any interruption.
struct CertificateOrder {
    let client: ACMEClient
    let host: CertificateHost
    let challengeFolder: String
    let dns: (any DNSChallenges)?
    /// An order that nobody wants any more is left where it is.
    let isWanted: @Sendable () async -> Bool

    static let pollFirst = Duration.seconds(1)
    /// How long an authority may think about a challenge or an order.
    static let patience = Duration.seconds(120)
    private static let hintHTTP =
        "The name must lead to this server and to no other one, and its port 80 must be open to everyone."
    private static let hintDNS = "The DNS hook must end only when all name servers of the zone show the record."

    /// - Returns: the chain in PEM form.
    /// - Throws: ``OrderFailure`` when the order is lost; anything else when it may be taken up again.
    func complete(_ url: String, names: [String], key: P256.Signing.PrivateKey) async throws -> [UInt8] {
        var order = try await client.order(url)
        if order.status == "pending" {
            for authorization in order.authorizations { try await authorize(authorization) }
        }
        order = try await waiting(for: url) { $0.status != "pending" }
        if order.status == "ready" {
            let request = try CertificateRequest.der(names: names, key: key)
            let finalize = order.finalize
            try await host.effect("certificate-order.finalize") {
                _ = try await client.finalize(finalize, request: request)
            }
        }
        order = try await waiting(for: url) { $0.status != "processing" && $0.status != "ready" }
        guard order.status == "valid", let certificate = order.certificate else {
            throw OrderFailure(try await flaw(of: order))
        }
        return try await client.download(certificate)
    }

    /// Why an order is lost; when it does not say so itself, what of it was not proved.
    private func flaw(of order: ACMEClient.Order) async throws -> String {
        if let problem = order.problem { return problem }
        for url in order.authorizations {
            let authorization = try await client.authorization(url)
            if let problem = authorization.problem { return "\(authorization.name): \(problem)" }
        }
        return "The order is \(order.status)."
    }

    private func waiting(
        for url: String, until isDone: (ACMEClient.Order) -> Bool
    ) async throws -> ACMEClient.Order {
        let end = host.clock.monotonic() + Self.patience
        var pause = Self.pollFirst
        while true {
            let order = try await client.order(url)
            if isDone(order) { return order }
            try await pauseOrGiveUp(&pause, end, order.retryAfter)
        }
    }

    private func pauseOrGiveUp(_ pause: inout Duration, _ end: Duration, _ asked: Duration?) async throws {
        guard await isWanted() else { throw CancellationError() }
        guard host.clock.monotonic() < end else {
            throw Problem(.timeout, "The certificate authority has not decided in time.")
        }
        try await host.clock.sleep(for: min(max(pause, asked ?? .zero), .seconds(30)))
        pause = min(pause * 2, .seconds(10))
    }

    // MARK: challenges

    private func authorize(_ url: String) async throws {
        let authorization = try await client.authorization(url)
        switch authorization.status {
        case "valid": return
        case "pending": break
        default: throw OrderFailure(authorization.problem ?? "\(authorization.name) is \(authorization.status).")
        }
        if !authorization.isWildcard, dns?.isAvailable != true {
            try await authorizeByHTTP(url, authorization)
        } else {
            try await authorizeByDNS(url, authorization)
        }
    }

    private func authorizeByHTTP(_ url: String, _ authorization: ACMEClient.Authorization) async throws {
        guard let (token, challenge) = authorization.challenges["http-01"] else {
            throw OrderFailure("The certificate authority offers no HTTP-01 challenge for \(authorization.name).")
        }
        guard token.utf8.count <= 128,
            token.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) })
        else { throw OrderFailure("The certificate authority sent a token that is none.") }
        let path = "\(challengeFolder)/\(token)"
        let content = Array(client.signature.keyAuthorization(token).utf8)
        try await host.effect("certificate-challenge.write") {
            try await host.files.write(path, content, mode: 0o600)
        }
        do {
            try await answer(url, challenge, Self.hintHTTP)
        } catch is CancellationError {
            // The authority may be looking for it, and the order is taken up again.
            throw CancellationError()
        } catch {
            // The failure to tell is the one above; what is left is removed with the next challenge of this token.
            try? await host.files.remove(path)
            throw error
        }
        try await host.effect("certificate-challenge.remove") { try await host.files.remove(path) }
    }

    private func authorizeByDNS(_ url: String, _ authorization: ACMEClient.Authorization) async throws {
        guard let dns, dns.isAvailable else {
            throw OrderFailure(
                "\(authorization.name) is a wildcard, which needs DNS-01, and there is no DNS hook.",
                hint: "Put an executable program dns-hook into the agent's folder.")
        }
        guard let (token, challenge) = authorization.challenges["dns-01"] else {
            throw OrderFailure("The certificate authority offers no DNS-01 challenge for \(authorization.name).")
        }
        let name = "_acme-challenge.\(authorization.name)"
        let value = client.signature.dnsValue(token)
        do {
            try await host.effect("certificate-challenge.present") { try await dns.present(name: name, value: value) }
            try await answer(url, challenge, Self.hintDNS)
        } catch is CancellationError {
            // The order is taken up again, unless nobody wants it.
            if await !isWanted() { try await dns.withdraw(name: name, value: value) }
            throw CancellationError()
        } catch {
            // As above: the first failure is the one to tell.
            try? await dns.withdraw(name: name, value: value)
            throw error
        }
        try await host.effect("certificate-challenge.withdraw") { try await dns.withdraw(name: name, value: value) }
    }

    private func answer(_ authorization: String, _ challenge: String, _ hint: String) async throws {
        var refusal: Problem?
        do {
            try await host.effect("certificate-challenge.respond") { try await client.respond(challenge) }
        } catch let problem as Problem where problem.code == .conflict {
            // An agent before this one may have told it already, and the authority be done with it.
            refusal = problem
        }
        let end = host.clock.monotonic() + Self.patience
        var pause = Self.pollFirst
        while true {
            let now = try await client.authorization(authorization)
            if now.status == "valid" { return }
            guard now.status == "pending" else {
                throw OrderFailure(
                    "\(now.name): \(now.problem ?? "the challenge is \(now.status).")",
                    hint: hint)
            }
            if let refusal, host.clock.monotonic() >= end { throw refusal }
            try await pauseOrGiveUp(&pause, end, now.retryAfter)
        }
    }
}

/// The authority's last word on an order.
struct OrderFailure: Error {
    let problem: Problem

    init(_ message: String, hint: String? = nil) { problem = Problem(.conflict, message, hint: hint) }
}
