import Host

/// The end of a log folder's current file.
enum LogTail {
    private static let linesMax = 20
    private static let bytesMax = 4096

    /// The last lines, or an empty text when there are none or the log cannot be read: a message must not fail for it.
    static func lastLines(_ folder: String, _ files: any Files) async -> String {
        let path = "\(folder)/current.log"
        guard let size = try? await files.size(path), size > 0,
            let bytes = try? await files.read(path, offset: max(0, size - Int64(bytesMax)), count: bytesMax)
        else { return "" }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.split(separator: "\n").suffix(linesMax).joined(separator: "\n")
    }
}
