import Model

/// What a table must keep to before the edge takes it.
enum TableRules {
    static let routesMax = 200_000
    static let upstreamsMax = 100_000
    static let endpointsMax = 1_000
    static let certificatesMax = 100_000
    static let certificateNamesMax = 100

    static func check(_ table: EdgeTable) throws(Problem) {
        guard table.routes.count <= routesMax, table.upstreams.count <= upstreamsMax else {
            throw Problem(.tooLarge, "The edge takes at most \(routesMax) routes and \(upstreamsMax) upstreams.")
        }
        var ids: Set<String> = []
        for (index, upstream) in table.upstreams.enumerated() {
            try check(upstream, at: "upstreams/\(index)")
            guard ids.insert(upstream.id).inserted else { throw .invalid("upstreams/\(index)/id", "is used twice") }
        }
        for (index, route) in table.routes.enumerated() {
            try check(route, at: "routes/\(index)")
            guard ids.contains(route.upstreamId) else {
                throw .invalid("routes/\(index)/upstream_id", "names no upstream of the table")
            }
            if let forward = route.access?.forward, !ids.contains(forward.upstreamId) {
                throw .invalid("routes/\(index)/access/forward/upstream_id", "names no upstream of the table")
            }
        }
        try require(table.trustedProxies?.count ?? 0, in: 0...networksMax, at: "trusted_proxies")
        for (index, network) in (table.trustedProxies ?? []).enumerated() {
            try checkNetwork(network, at: "trusted_proxies/\(index)")
        }
        try require(table.siteIds?.count ?? 0, in: 0...routesMax, at: "site_ids")
        for (index, id) in (table.siteIds ?? []).enumerated() { try checkSiteId(id, at: "site_ids/\(index)") }
        try check(table.certificates ?? [])
        if let flaw = Names.hostnameFlaw(table.internalSuffix) { throw .invalid("internal_suffix", flaw) }
        for (name, id) in table.internalNames {
            if let flaw = Names.dnsLabelFlaw(name) { throw .invalid("internal_names/\(name)", flaw) }
            guard ids.contains(id) else { throw .invalid("internal_names/\(name)", "names no upstream of the table") }
        }
    }

    private static func check(_ certificates: [EdgeCertificate]) throws(Problem) {
        guard certificates.count <= certificatesMax else {
            throw Problem(.tooLarge, "The edge takes at most \(certificatesMax) certificates.")
        }
        for (index, certificate) in certificates.enumerated() {
            let path = "certificates/\(index)"
            guard (1...certificateNamesMax).contains(certificate.names.count) else {
                throw .invalid("\(path)/names", "must be 1 to \(certificateNamesMax)")
            }
            for (position, name) in certificate.names.enumerated() {
                if let flaw = Names.hostnameFlaw(name, wildcard: true) {
                    throw .invalid("\(path)/names/\(position)", flaw)
                }
                guard name == name.lowercased(), !name.hasSuffix(".") else {
                    throw .invalid("\(path)/names/\(position)", "must be lower case without a trailing dot")
                }
            }
            for (field, file) in [("certificate_path", certificate.certificatePath), ("key_path", certificate.keyPath)]
            {
                guard file.hasPrefix("/"), file.utf8.count <= 4096, !file.utf8.contains(0) else {
                    throw .invalid("\(path)/\(field)", "must be an absolute path")
                }
            }
        }
    }

    private static func check(_ upstream: EdgeUpstream, at path: String) throws(Problem) {
        if upstream.id.isEmpty { throw .invalid("\(path)/id", "must not be empty") }
        if let flaw = Names.lineFlaw(upstream.id, bytesMax: 255) { throw .invalid("\(path)/id", flaw) }
        if let flaw = Names.lineFlaw(upstream.name, bytesMax: 255) { throw .invalid("\(path)/name", flaw) }
        guard upstream.endpoints.count <= endpointsMax else {
            throw .invalid("\(path)/endpoints", "must be at most \(endpointsMax)")
        }
        for (index, endpoint) in upstream.endpoints.enumerated() {
            guard (1...65535).contains(endpoint.port) else {
                throw .invalid("\(path)/endpoints/\(index)/port", "must be between 1 and 65535")
            }
            guard !endpoint.host.isEmpty, Names.lineFlaw(endpoint.host, bytesMax: 253) == nil,
                !endpoint.host.contains(" ")
            else { throw .invalid("\(path)/endpoints/\(index)/host", "must be a host name or address") }
        }
        if let folder = upstream.staticFolder {
            guard folder.hasPrefix("/"), folder.utf8.count <= 4096, !folder.utf8.contains(0) else {
                throw .invalid("\(path)/static_folder", "must be an absolute path")
            }
        }
        try checkPolicies(upstream, at: path)
    }

    private static func check(_ route: EdgeRoute, at path: String) throws(Problem) {
        if let flaw = Names.pathPrefixFlaw(route.pathPrefix) { throw .invalid("\(path)/path_prefix", flaw) }
        for (index, host) in route.hosts.enumerated() {
            let flaw = Names.hostnameFlaw(host, wildcard: true)
            if let flaw { throw .invalid("\(path)/hosts/\(index)", flaw) }
            guard host == host.lowercased(), !host.hasSuffix(".") else {
                throw .invalid("\(path)/hosts/\(index)", "must be lower case without a trailing dot")
            }
        }
        try checkPolicies(route, at: path)
    }
}
