/// Finds the route of a host and path. What a lookup costs depends on the labels of the host and the segments of the
/// path, not on how many routes there are.
///
/// The exact host is asked first, then wildcards from the longest on, then the routes for any host; the first of them
/// that has a matching path wins.
struct RouteIndex: Sendable {
    struct Match: Equatable {
        var upstream: Int32
        var stripCount: Int32
        /// Position among the table's routes, internal names last.
        var route: Int32
    }

    /// The routes of one host.
    private struct PathTable: Sendable {
        /// Prefixes without a final slash → index into `matches`. The root is the empty prefix.
        var prefixes = ByteIndex()
        var matches: [Match] = []
        var root: Int32 = -1
        var lengthMax = 0
    }

    private static let hostBytesMax = 256
    private var exact = ByteIndex()
    private var wildcards = ByteIndex()
    private var anyHost: Int32 = -1
    private var tables: [PathTable] = []

    /// - Parameters:
    ///   - host: lower case; `*.` in front for a wildcard; nil for any host.
    ///   - prefix: `/`, or segments without a final slash.
    /// - Returns: false when an earlier route has the same host and prefix.
    mutating func insert(host: [UInt8]?, prefix: [UInt8], upstream: Int32, strip: Bool, route: Int32) -> Bool {
        let table = table(for: host)
        let match = Match(
            upstream: upstream, stripCount: strip && prefix.count > 1 ? Int32(prefix.count) : 0, route: route)
        let index = Int32(tables[table].matches.count)
        if prefix.count <= 1 {
            guard tables[table].root < 0 else { return false }
            tables[table].root = index
        } else {
            guard tables[table].prefixes.insert(prefix, index) else { return false }
            tables[table].lengthMax = max(tables[table].lengthMax, prefix.count)
        }
        tables[table].matches.append(match)
        return true
    }

    private mutating func table(for host: [UInt8]?) -> Int {
        let fresh = Int32(tables.count)
        guard let host else {
            if anyHost < 0 {
                anyHost = fresh
                tables.append(PathTable())
            }
            return Int(anyHost)
        }
        let isWildcard = host.starts(with: "*.".utf8)
        let key = isWildcard ? Array(host.dropFirst(2)) : host
        let added = isWildcard ? wildcards.insert(key, fresh) : exact.insert(key, fresh)
        if added {
            tables.append(PathTable())
            return Int(fresh)
        }
        return key.withUnsafeBufferPointer { buffer in
            let hash = ByteIndex.hash(key)
            let index = isWildcard ? wildcards : exact
            return Int(index.find(buffer.baseAddress!, buffer.count, hash)!)
        }
    }

    func find(
        host: UnsafePointer<UInt8>, hostCount: Int, path: UnsafePointer<UInt8>, pathCount: Int
    ) -> Match? {
        if hostCount > 0, hostCount <= Self.hostBytesMax, !exact.isEmpty || !wildcards.isEmpty {
            let byHost = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: hostCount) { lower -> Match? in
                for index in 0..<hostCount { lower[index] = ByteClass.lower(host[index]) }
                return findNamed(UnsafePointer(lower.baseAddress!), hostCount, path, pathCount)
            }
            if let byHost { return byHost }
        }
        return anyHost < 0 ? nil : find(in: anyHost, path, pathCount)
    }

    private func findNamed(
        _ host: UnsafePointer<UInt8>, _ count: Int, _ path: UnsafePointer<UInt8>, _ pathCount: Int
    ) -> Match? {
        if let table = exact.find(host, count, Self.hash(host, count)), let match = find(in: table, path, pathCount) {
            return match
        }
        guard !wildcards.isEmpty else { return nil }
        var start = 0
        while start < count {
            while start < count, host[start] != UInt8(ascii: ".") { start += 1 }
            start += 1
            guard start < count else { return nil }
            let suffix = host + start
            if let table = wildcards.find(suffix, count - start, Self.hash(suffix, count - start)),
                let match = find(in: table, path, pathCount)
            {
                return match
            }
        }
        return nil
    }

    private static func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        var hash = ByteIndex.hashSeed
        for index in 0..<count { hash = ByteIndex.hash(hash, bytes[index]) }
        return hash
    }

    /// Longest prefix on segment borders, in one walk over the path.
    private func find(in tableIndex: Int32, _ path: UnsafePointer<UInt8>, _ count: Int) -> Match? {
        let table = tables[Int(tableIndex)]
        var best = table.root
        if table.lengthMax > 0 {
            var hash = ByteIndex.hashSeed
            let end = min(count, table.lengthMax)
            var index = 0
            while index <= end {
                if index == count || path[index] == ByteClass.slash, index > 0 {
                    if let found = table.prefixes.find(path, index, hash) { best = found }
                }
                guard index < end else { break }
                hash = ByteIndex.hash(hash, path[index])
                index += 1
            }
        }
        return best < 0 ? nil : table.matches[Int(best)]
    }
}
