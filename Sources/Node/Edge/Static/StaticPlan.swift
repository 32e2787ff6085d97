import Model

/// How a folder is served when it asks for more than its files.
struct StaticPlan: Sendable {
    /// A way to send a file with fewer bytes.
    struct Encoding: Sendable {
        let name: String
        let suffix: [UInt8]
    }

    static let encodings = [
        Encoding(name: "br", suffix: Array(".br".utf8)), Encoding(name: "gzip", suffix: Array(".gz".utf8)),
    ]

    /// Paths below the folder, with a slash in front.
    let fallback: [UInt8]?
    let notFoundPage: [UInt8]?
    let usesPrecompressed: Bool
    private let cacheControl: String?
    private let cachesHashedNames: Bool

    init(_ source: EdgeStaticOptions) {
        fallback = source.fallback.map { Array("/\($0)".utf8) }
        notFoundPage = source.notFoundPage.map { Array("/\($0)".utf8) }
        usesPrecompressed = source.usesPrecompressed
        cacheControl = source.cacheControl
        cachesHashedNames = source.cachesHashedNames
    }

    /// Fields of an answer for a file.
    func fields(for path: [UInt8], encoding: Encoding?) -> String {
        var text = usesPrecompressed ? "Vary: Accept-Encoding\r\n" : ""
        if let encoding { text += "Content-Encoding: \(encoding.name)\r\n" }
        if cachesHashedNames, Self.holdsHash(path) {
            text += "Cache-Control: public, max-age=31536000, immutable\r\n"
        } else if let cacheControl {
            text += "Cache-Control: \(cacheControl)\r\n"
        }
        return text
    }

    /// The encodings that `Accept-Encoding` takes (RFC 9110 section 12.5.3), the smallest first.
    static func accepted(_ value: [UInt8]) -> [Encoding] {
        var refused: Set<String> = []
        var named: Set<String> = []
        for element in value.split(separator: ByteClass.comma) {
            let parts = String(decoding: element, as: UTF8.self).lowercased().split(separator: ";")
            guard let coding = parts.first?.trimmed else { continue }
            let weight = parts.dropFirst().first { $0.trimmed.hasPrefix("q=") }.flatMap {
                Double($0.trimmed.dropFirst(2))
            }
            if weight == 0 { refused.insert(coding) } else { named.insert(coding) }
        }
        return encodings.filter { !refused.contains($0.name) && (named.contains($0.name) || named.contains("*")) }
    }

    /// Whether build tools put a hash of the content into the name, such as `app.3f9a1c2b.js` or `index-DiwrgTda.css`.
    static func holdsHash(_ path: [UInt8]) -> Bool {
        let name = path.split(separator: ByteClass.slash).last ?? []
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")) else { return false }
        let stem = name[..<dot]
        guard let border = stem.lastIndex(where: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }) else {
            return false
        }
        let part = stem[(border + 1)...]
        guard part.count >= 8, part.count <= 64,
            part.allSatisfy({ ByteClass.isDigit($0) || ByteClass.lower($0) &- 0x61 < 26 || $0 == UInt8(ascii: "_") })
        else { return false }
        // A word is neither: digits among letters, or capitals where a word has none.
        let digits = part.filter(ByteClass.isDigit).count
        let capitals = part.dropFirst().filter { $0 &- 0x41 < 26 }.count
        let letters = part.count - digits
        return digits > 0 && letters > 0 || capitals > 0 && capitals < part.count - 1
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}
