import Model

/// Models of pages about sites.
enum SitePages {
    /// Where visitors find it; nil for a wildcard.
    static func url(of site: JSONValue, stack: JSONValue) -> String? {
        guard let domain = site.text("domain"), !domain.hasPrefix("*") else { return nil }
        let isSecure = site.text("tls") != "off"
        let port = isSecure ? stack["proxy"]?.int("tls_port") ?? 443 : stack["proxy"]?.int("port") ?? 80
        let standard: Int64 = isSecure ? 443 : 80
        return "\(isSecure ? "https" : "http")://\(domain)\(port == standard ? "" : ":\(port)")/"
    }

    /// What it is in front of: text, and where that leads.
    static func upstream(of site: JSONValue) -> JSONValue {
        let path = site.text("service_id").map { "/services/\(percentEncoded($0))" }
        return ["text": .string(site.text("upstream") ?? ""), "path": path.json]
    }

    /// How its certificate stands, in words.
    static func certificate(of site: JSONValue) -> String {
        switch site.text("tls") {
        case "acme": "ordered and renewed by itself"
        case "upload": "uploaded"
        case "self-signed": "self-signed, for development"
        default: "none: clear text only"
        }
    }

    /// How it stands on each server.
    static func rows(of site: JSONValue, nodes: [JSONValue], now: Timestamp) -> [JSONValue] {
        let ids = Dictionary(nodes.map { ($0.label, $0.id) }, uniquingKeysWith: { $1 })
        return (site["nodes"]?.objectValue ?? [:]).sorted { $0.key < $1.key }.map { name, report in
            [
                "name": .string(name), "path": ids[name].map { "/nodes/\(percentEncoded($0))" }.json,
                "state": PageParts.state(report.text("state") ?? "provisioning"),
                "message": report.text("message").json,
                "ends": PageParts.time(report.text("certificate_not_after"), now: now),
            ]
        }
    }

    /// A row of a short list of sites.
    static func link(_ site: JSONValue) -> JSONValue {
        [
            "path": .string("/sites/\(percentEncoded(site.id))"), "label": .string(site.label),
            "state": PageParts.state(site.text("status") ?? "pending"),
        ]
    }

    /// Other sites in front of the same.
    static func sharing(_ site: JSONValue, _ sites: [JSONValue]) -> [JSONValue] {
        sites.filter { other in
            guard other.id != site.id else { return false }
            if let service = site.text("service_id") { return other.text("service_id") == service }
            return other.text("service_id") == nil && other.text("upstream") == site.text("upstream")
        }.map(link)
    }
}
