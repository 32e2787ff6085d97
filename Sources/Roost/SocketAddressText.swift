import ArgumentParser

/// `HOST:PORT` as given on the command line; IPv6 in brackets.
struct SocketAddressText: ExpressibleByArgument, Sendable, Equatable, CustomStringConvertible {
    var host: String
    var port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    init?(argument: String) {
        guard let colon = argument.lastIndex(of: ":"), let port = Int(argument[argument.index(after: colon)...]),
            (1...65535).contains(port)
        else { return nil }
        var host = String(argument[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { return nil }
        self.init(host: host, port: port)
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether only this machine reaches a listener on the address.
    var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

    /// How this machine reaches a listener on the address.
    var localURL: String {
        let wildcard = ["0.0.0.0": "127.0.0.1", "::": "[::1]"]
        return "http://\(wildcard[host] ?? (host.contains(":") ? "[\(host)]" : host)):\(port)"
    }
}
