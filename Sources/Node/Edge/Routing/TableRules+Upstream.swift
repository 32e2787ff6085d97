import Model

/// What the policies of an upstream must keep to.
extension TableRules {
    static func checkPolicies(_ upstream: EdgeUpstream, at path: String) throws(Problem) {
        for (index, endpoint) in upstream.endpoints.enumerated() {
            if let weight = endpoint.weight {
                try require(weight, in: 0...10_000, at: "\(path)/endpoints/\(index)/weight")
            }
            if let group = endpoint.group, Names.lineFlaw(group, bytesMax: 63) != nil || group.isEmpty {
                throw .invalid("\(path)/endpoints/\(index)/group", "must be one line of 1 to 63 bytes")
            }
        }
        if let balance = upstream.balance { try check(balance, at: "\(path)/balance") }
        if let health = upstream.health { try check(health, at: "\(path)/health") }
        if let breaker = upstream.breaker {
            try require(breaker.failures, in: 1...100_000, at: "\(path)/breaker/failures")
            try require(breaker.windowMs, in: 100...3_600_000, at: "\(path)/breaker/window_ms")
            try require(breaker.openMs, in: 100...3_600_000, at: "\(path)/breaker/open_ms")
        }
        if let options = upstream.staticOptions { try check(options, at: "\(path)/static_options") }
        if let wake = upstream.wake {
            try require(wake.holdMs, in: 0...300_000, at: "\(path)/wake/hold_ms")
            try require(wake.pageAfterMs, in: 0...300_000, at: "\(path)/wake/page_after_ms")
        }
    }

    private static func check(_ balance: EdgeBalance, at path: String) throws(Problem) {
        try require(balance.retries, in: 0...5, at: "\(path)/retries")
        guard let cookie = balance.stickyCookie else { return }
        guard (1...64).contains(cookie.utf8.count), cookie.utf8.allSatisfy({ isTokenByte($0) }) else {
            throw .invalid("\(path)/sticky_cookie", "must be the name of a cookie")
        }
    }

    private static func check(_ health: EdgeHealth, at path: String) throws(Problem) {
        try require(health.failuresMax, in: 0...1_000, at: "\(path)/failures_max")
        try require(health.outMs, in: 100...3_600_000, at: "\(path)/out_ms")
        guard let check = health.check else { return }
        try checkTarget(check.path, at: "\(path)/check/path")
        if let host = check.host, let flaw = Names.hostnameFlaw(host) { throw .invalid("\(path)/check/host", flaw) }
        try require(check.intervalMs, in: 100...3_600_000, at: "\(path)/check/interval_ms")
        try require(check.timeoutMs, in: 10...60_000, at: "\(path)/check/timeout_ms")
        try require(check.healthyAfter, in: 1...100, at: "\(path)/check/healthy_after")
        try require(check.unhealthyAfter, in: 1...100, at: "\(path)/check/unhealthy_after")
    }

    private static func check(_ options: EdgeStaticOptions, at path: String) throws(Problem) {
        for (name, file) in [("fallback", options.fallback), ("not_found_page", options.notFoundPage)] {
            guard let file else { continue }
            if let flaw = Names.relativePathFlaw(file) { throw .invalid("\(path)/\(name)", flaw) }
        }
        if let value = options.cacheControl, value.isEmpty || Names.lineFlaw(value, bytesMax: 1024) != nil {
            throw .invalid("\(path)/cache_control", "must be one line of at most 1024 bytes")
        }
    }
}
