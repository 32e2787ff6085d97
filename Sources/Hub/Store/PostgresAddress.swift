public import Model

/// Where a PostgreSQL database is and how to log in, as a libpq URL. It may hold a password, so it is never printed.
public struct PostgresAddress: Sendable {
    let url: String

    /// - Throws: `invalid` when this is no `postgres://` or `postgresql://` URL.
    public init(_ url: String) throws(Problem) {
        guard url.hasPrefix("postgres://") || url.hasPrefix("postgresql://"), url.utf8.count <= 2000,
            url.utf8.allSatisfy({ $0 > 32 && $0 < 127 })
        else {
            throw Problem(
                .invalid, "The address of the store must look like postgres://USER@HOST:PORT/DATABASE.",
                hint: "See https://www.postgresql.org/docs/current/libpq-connect.html for its parts.")
        }
        self.url = url
    }

    /// Whether the URL itself holds a password; it may also come from `PGPASSFILE` or be none.
    var hasPassword: Bool {
        let rest = url.drop { $0 != ":" }.dropFirst(3).prefix { $0 != "/" && $0 != "?" }
        let user = rest.lastIndex(of: "@").map { rest[..<$0] } ?? ""
        return user.contains(":") || url.contains("password=")
    }
}

extension PostgresAddress: CustomStringConvertible {
    /// Host and database, for the log; without user, password and options.
    public var description: String {
        let rest = url.drop { $0 != ":" }.dropFirst(3)
        let place = rest.lastIndex(of: "@").map { rest[rest.index(after: $0)...] } ?? rest
        return "postgres://\(place.prefix { $0 != "?" })"
    }
}
