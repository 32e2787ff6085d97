import AgentProtocol
import SwiftASN1

/// Textual form of keys and certificates (RFC 7468).
public enum PEMText {
    private static let blocksMax = 20

    /// One block, ended by a line break.
    public static func encode(_ label: String, _ der: [UInt8]) -> String {
        PEMDocument(type: label, derBytes: der).pemString + "\n"
    }

    /// All blocks of a text; nil when it has none, too many, one without an end, or one that is not Base64.
    ///
    /// More lenient than the parser of SwiftASN1: lines of any length, indented ones, and text between blocks, since
    /// people paste what mails and terminals made of it.
    static func read(_ text: String) -> [PEMDocument]? {
        var blocks: [PEMDocument] = []
        var (label, body): (String?, String) = (nil, "")
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
            if line.hasPrefix("-----BEGIN "), line.hasSuffix("-----"), line.utf8.count > 16 {
                guard label == nil, blocks.count < blocksMax else { return nil }
                (label, body) = (String(line.dropFirst(11).dropLast(5)), "")
            } else if let open = label {
                if line == "-----END \(open)-----" {
                    guard let bytes = Base64.decode(body), !bytes.isEmpty else { return nil }
                    blocks.append(PEMDocument(type: open, derBytes: bytes))
                    label = nil
                } else {
                    body += line
                }
            }
        }
        return label == nil && !blocks.isEmpty ? blocks : nil
    }
}
