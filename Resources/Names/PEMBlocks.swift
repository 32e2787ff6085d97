import AgentProtocol

/// Textual form of keys and certificates (RFC 7468).
enum PEMBlocks {
    /// One block: its label and its bytes.
    struct Block {
        var label: String
        var bytes: [UInt8]
    }

    private static let blocksMax = 20

    /// All blocks of a text; nil when it has none, one without an end, or anything in them that is not Base64. Text
    /// between blocks is what tools print there, and is left out.
    static func read(_ text: String) -> [Block]? {
        var blocks: [Block] = []
        var (label, body): (String?, String) = (nil, "")
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
            if line.hasPrefix("-----BEGIN "), line.hasSuffix("-----"), line.utf8.count > 16 {
                guard label == nil, blocks.count < blocksMax else { return nil }
                (label, body) = (String(line.dropFirst(11).dropLast(5)), "")
            } else if let open = label {
                if line == "-----END \(open)-----" {
                    guard let bytes = Base64.decode(body), !bytes.isEmpty else { return nil }
                    blocks.append(Block(label: open, bytes: bytes))
                    label = nil
                } else {
                    body += line
                }
            }
        }
        return label == nil && !blocks.isEmpty ? blocks : nil
    }
}
