import Model

/// What the policies of a route must keep to.
extension TableRules {
    static let networksMax = 10_000
    static let usersMax = 10_000
    static let tokensMax = 10_000
    static let headersMax = 100

    static func checkPolicies(_ route: EdgeRoute, at path: String) throws(Problem) {
        if let name = route.name, let flaw = Names.lineFlaw(name, bytesMax: 255) {
            throw .invalid("\(path)/name", flaw)
        }
        if let id = route.siteId { try checkSiteId(id, at: "\(path)/site_id") }
        if let access = route.access { try check(access, at: "\(path)/access") }
        if let limits = route.limits { try check(limits, at: "\(path)/limits") }
        if let redirect = route.redirect { try check(redirect, at: "\(path)/redirect") }
        if let headers = route.headers { try check(headers, at: "\(path)/headers") }
    }

    /// It stands in each line of the access log as it is.
    static func checkSiteId(_ id: String, at path: String) throws(Problem) {
        guard (1...255).contains(id.utf8.count),
            id.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C })
        else { throw .invalid(path, "must be plain ASCII without spaces, quotation marks and backslashes") }
    }

    static func checkNetwork(_ text: String, at path: String) throws(Problem) {
        guard Names.cidrFlaw(text) == nil || Names.addressFlaw(text) == nil else {
            throw .invalid(path, "must be an address or a network such as 203.0.113.0/24")
        }
    }

    private static func check(_ access: EdgeAccess, at path: String) throws(Problem) {
        try require(access.networks.count, in: 0...networksMax, at: "\(path)/networks")
        for (index, rule) in access.networks.enumerated() {
            try checkNetwork(rule.network, at: "\(path)/networks/\(index)/network")
        }
        if let basic = access.basic { try check(basic, at: "\(path)/basic") }
        try require(access.tokenHashes.count, in: 0...tokensMax, at: "\(path)/token_hashes")
        for (index, hash) in access.tokenHashes.enumerated() {
            guard hash.utf8.count == 64, hash.utf8.allSatisfy({ isHexDigit($0) }) else {
                throw .invalid("\(path)/token_hashes/\(index)", "must be a SHA-256 in 64 hexadecimal digits")
            }
        }
        guard let forward = access.forward else { return }
        try checkTarget(forward.path, at: "\(path)/forward/path")
        try require(forward.timeoutMs, in: 1...60_000, at: "\(path)/forward/timeout_ms")
        try require(forward.copiedHeaders.count, in: 0...headersMax, at: "\(path)/forward/copied_headers")
        for (index, name) in forward.copiedHeaders.enumerated() {
            try checkHeaderName(name, at: "\(path)/forward/copied_headers/\(index)")
        }
    }

    private static func check(_ basic: EdgeBasicAuth, at path: String) throws(Problem) {
        guard basic.realm.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }),
            basic.realm.utf8.count <= 255
        else { throw .invalid("\(path)/realm", "must be plain ASCII without quotation marks and backslashes") }
        try require(basic.users.count, in: 1...usersMax, at: "\(path)/users")
        for (index, user) in basic.users.enumerated() {
            guard !user.name.isEmpty, !user.name.contains(":"), Names.lineFlaw(user.name, bytesMax: 255) == nil else {
                throw .invalid("\(path)/users/\(index)/name", "must be one line without a colon")
            }
            guard isBcrypt(user.passwordHash) else {
                throw .invalid("\(path)/users/\(index)/password_hash", "must be a bcrypt hash of cost 4 to 14")
            }
        }
    }

    /// `$2b$12$` and 53 characters of `./A-Za-z0-9`. A higher cost would let strangers keep the machine busy.
    private static func isBcrypt(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 60, bytes.starts(with: "$2".utf8), "aby".utf8.contains(bytes[2]),
            bytes[3] == UInt8(ascii: "$"), bytes[6] == UInt8(ascii: "$"),
            let cost = Int(String(decoding: bytes[4..<6], as: UTF8.self)), (4...14).contains(cost)
        else { return false }
        return bytes[7...].allSatisfy { byte in
            byte == UInt8(ascii: ".") || byte == UInt8(ascii: "/") || isAlphanumeric(byte)
        }
    }

    private static func check(_ limits: EdgeRouteLimits, at path: String) throws(Problem) {
        if let rate = limits.requestsPerSecond, !(rate > 0 && rate <= 1_000_000) {
            throw .invalid("\(path)/requests_per_second", "must be above 0 and at most 1000000")
        }
        if let burst = limits.burst {
            try require(burst, in: 1...1_000_000, at: "\(path)/burst")
            guard limits.requestsPerSecond != nil else {
                throw .invalid("\(path)/burst", "needs requests_per_second beside it")
            }
        }
        if let count = limits.concurrentPerClient {
            try require(count, in: 1...1_000_000, at: "\(path)/concurrent_per_client")
        }
        if let count = limits.concurrentRequests {
            try require(count, in: 1...1_000_000, at: "\(path)/concurrent_requests")
        }
        if let count = limits.maxBodyBytes { try require(count, in: 1...(1 << 50), at: "\(path)/max_body_bytes") }
    }

    private static func check(_ redirect: EdgeRedirect, at path: String) throws(Problem) {
        guard [301, 302, 303, 307, 308].contains(redirect.status) else {
            throw .invalid("\(path)/status", "must be 301, 302, 303, 307 or 308")
        }
        if let port = redirect.httpsPort { try require(port, in: 1...65535, at: "\(path)/https_port") }
        guard let url = redirect.url else { return }
        let host = url.hasPrefix("https://") ? url.dropFirst(8) : url.hasPrefix("http://") ? url.dropFirst(7) : ""
        guard !host.isEmpty, !host.hasPrefix("/"), url.utf8.count <= 2048,
            url.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x3C && $0 != 0x3E && $0 != 0x5C })
        else { throw .invalid("\(path)/url", "must be an http or https URL in plain ASCII") }
        if redirect.keepsPath, url.contains("?") || url.contains("#") {
            throw .invalid("\(path)/url", "must have no query and no fragment when the path is kept")
        }
    }

    private static func check(_ rules: EdgeHeaderRules, at path: String) throws(Problem) {
        for (name, headers) in [("request_set", rules.requestSet), ("response_set", rules.responseSet)] {
            try require(headers.count, in: 0...headersMax, at: "\(path)/\(name)")
            for (index, header) in headers.enumerated() {
                try checkHeaderName(header.name, at: "\(path)/\(name)/\(index)/name")
                guard Names.lineFlaw(header.value, bytesMax: 4096) == nil else {
                    throw .invalid("\(path)/\(name)/\(index)/value", "must be one line of at most 4096 bytes")
                }
            }
        }
        for (name, names) in [("request_remove", rules.requestRemove), ("response_remove", rules.responseRemove)] {
            try require(names.count, in: 0...headersMax, at: "\(path)/\(name)")
            for (index, header) in names.enumerated() {
                try checkHeaderName(header, at: "\(path)/\(name)/\(index)")
            }
        }
        if let hsts = rules.hsts {
            try require(hsts.maxAgeSeconds, in: 0...315_360_000, at: "\(path)/hsts/max_age_seconds")
        }
    }

    private static func checkHeaderName(_ name: String, at path: String) throws(Problem) {
        if let flaw = Names.headerNameFlaw(name) { throw .invalid(path, flaw) }
    }

    static func checkTarget(_ path: String, at field: String) throws(Problem) {
        guard path.hasPrefix("/"), path.utf8.count <= 2048,
            path.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") })
        else { throw .invalid(field, "must be a path in plain ASCII") }
    }

    static func require(_ value: Int, in range: ClosedRange<Int>, at path: String) throws(Problem) {
        guard range.contains(value) else {
            throw .invalid(path, "must be between \(range.lowerBound) and \(range.upperBound)")
        }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }

    /// A character of a token (RFC 9110 section 5.6.2).
    static func isTokenByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
