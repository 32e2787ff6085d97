import Model

/// How a service shares its requests with another one that tries the next release. Pure.
enum Canary {
    static let group = "canary"
    static let weightMax = 10_000

    /// - Parameter canaries: services that get a share; only those that serve and are well have endpoints.
    /// - Returns: the upstream with their endpoints in it, weighed so that each gets its percentage.
    static func joined(_ upstream: EdgeUpstream, by canaries: [EdgeContribution]) -> EdgeUpstream {
        guard upstream.mode == .serve, !upstream.endpoints.isEmpty, upstream.staticFolder == nil,
            let canary = canaries.first(where: { $0.upstream.mode == .serve && !$0.upstream.endpoints.isEmpty }),
            (1...100).contains(canary.canaryPercent)
        else { return upstream }
        let (own, others) = (upstream.endpoints.count, canary.upstream.endpoints.count)
        // Shares of the groups are sums of weights: each endpoint's weight makes up for how many there are beside it.
        let weights = reduced((100 - canary.canaryPercent) * others, canary.canaryPercent * own)
        var joined = upstream
        joined.endpoints =
            upstream.endpoints.map { weighed($0, weights.0, nil) }
            + canary.upstream.endpoints.map { weighed($0, weights.1, group) }
        return joined
    }

    private static func weighed(_ endpoint: EdgeEndpoint, _ weight: Int, _ group: String?) -> EdgeEndpoint {
        EdgeEndpoint(host: endpoint.host, port: endpoint.port, weight: weight, group: group)
    }

    private static func reduced(_ first: Int, _ second: Int) -> (Int, Int) {
        var (divisor, rest) = (first, second)
        while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
        let (a, b) = (first / divisor, second / divisor)
        let over = (max(a, b) + weightMax - 1) / weightMax
        return over > 1 ? (a / over, max(1, b / over)) : (a, b)
    }
}
