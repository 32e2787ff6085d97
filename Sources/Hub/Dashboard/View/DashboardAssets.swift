import Crypto
import Model

/// A file that browsers may keep forever: its name changes with its content.
struct Asset: Sendable {
    var path: String
    var mediaType: String
    var bytes: [UInt8]

    init(_ stem: String, _ suffix: String, _ mediaType: String, _ text: String) {
        bytes = Array(text.utf8)
        path = "/assets/\(stem).\(SHA256.hash(data: bytes).prefix(8).hexadecimal).\(suffix)"
        self.mediaType = mediaType
    }
}

/// Style, script and icon of the pages, part of the program itself.
struct DashboardAssets: Sendable {
    let style = Asset("roost", "css", "text/css; charset=utf-8", styleBase + styleFrame + styleParts)
    let script = Asset("roost", "js", "text/javascript; charset=utf-8", pageScript)
    let icon = Asset("roost", "svg", "image/svg+xml", iconImage)

    func asset(at path: String) -> Asset? { [style, script, icon].first { $0.path == path } }
}
