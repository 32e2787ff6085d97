import Model
import ResourceKit

/// Where the API of a PowerDNS is; of the platform, and of a shard for the zones of its region.
let dnsAPIURL = Field(
    "dns_api_url", .string(check: apiURLFlaw), "Address of the PowerDNS whose HTTP API takes the zones.",
    example: "http://127.0.0.1:8081")

let dnsAPIKey = Field("dns_api_key", .line, "The API key of that PowerDNS.", secret: true)

/// The key travels in a header, so the address holds no user, and the path is that of the API.
@Sendable private func apiURLFlaw(_ text: String) -> String? {
    let flaw = "must be an http or https URL of a server, such as http://127.0.0.1:8081"
    guard text.utf8.count <= 500, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
        let scheme = ["https://", "http://"].first(where: text.hasPrefix)
    else { return flaw }
    var authority = text.dropFirst(scheme.count)
    if authority.hasSuffix("/") { authority = authority.dropLast() }
    let isPlain = authority.allSatisfy { $0.isLetter || $0.isNumber || ".-:[]".contains($0) }
    return isPlain && !authority.isEmpty && !authority.hasPrefix(":") ? nil : flaw
}
