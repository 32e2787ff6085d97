import Glibc

/// A folder that is served. Nothing outside of it can be reached: every step of a path is opened relative to the one
/// before and no symbolic link is followed.
struct StaticFolder: Sendable {
    enum Lookup {
        case file(OpenedFile)
        /// A folder was named without its final slash.
        case folderWithoutSlash
        case missing
    }

    struct OpenedFile {
        /// Owned by the caller, who closes it.
        var descriptor: Int32
        var size: Int
        var modifiedSeconds: Int
        var modifiedNanoseconds: Int
        /// The last component, which tells the type.
        var name: String
    }

    static let componentsMax = 64
    /// O_PATH, a GNU extension that the C library's module leaves out.
    private static let pathOnly: Int32 = 0o10_000_000
    let path: String

    init(_ path: String) { self.path = path }

    /// Opens what a path of a URL (percent-encoded, without query) names.
    func open(_ urlPath: [UInt8]) -> Lookup {
        guard let components = Self.components(urlPath) else { return .missing }
        // The folder itself may be a link: it is ours, and switching releases may go by it.
        var descriptor = Glibc.open(path, Self.pathOnly | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return .missing }
        for (index, component) in components.names.enumerated() {
            let isLast = index == components.names.count - 1 && !components.isFolder
            let flags = isLast ? O_RDONLY | O_NONBLOCK : Self.pathOnly | O_DIRECTORY
            let next = openat(descriptor, component, flags | O_NOFOLLOW | O_CLOEXEC)
            close(descriptor)
            guard next >= 0 else { return .missing }
            descriptor = next
        }
        if components.isFolder {
            let index = openat(descriptor, "index.html", O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)
            close(descriptor)
            guard index >= 0 else { return .missing }
            return Self.checked(index, name: "index.html")
        }
        return Self.checked(descriptor, name: components.names.last ?? "")
    }

    private static func checked(_ descriptor: Int32, name: String) -> Lookup {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else {
            close(descriptor)
            return .missing
        }
        switch information.st_mode & S_IFMT {
        case S_IFREG:
            return .file(
                OpenedFile(
                    descriptor: descriptor, size: Int(information.st_size),
                    modifiedSeconds: Int(information.st_mtim.tv_sec),
                    modifiedNanoseconds: Int(information.st_mtim.tv_nsec), name: name))
        case S_IFDIR:
            close(descriptor)
            return .folderWithoutSlash
        default:
            close(descriptor)
            return .missing
        }
    }

    /// Decoded names of a URL path; nil when it could mean anything but a file below the folder.
    static func components(_ urlPath: [UInt8]) -> (names: [String], isFolder: Bool)? {
        var names: [String] = []
        for raw in urlPath.split(separator: ByteClass.slash) {
            guard let bytes = decoded(raw), !bytes.contains(0), !bytes.contains(ByteClass.slash) else { return nil }
            // Dotfiles are private by custom, but for the registered prefix of RFC 8615.
            if bytes.first == UInt8(ascii: ".") {
                guard names.isEmpty, bytes.elementsEqual(".well-known".utf8) else { return nil }
            }
            guard let name = String(validating: bytes, as: UTF8.self), bytes.count <= 255 else { return nil }
            names.append(name)
        }
        guard names.count <= componentsMax else { return nil }
        return (names, urlPath.last == ByteClass.slash || names.isEmpty)
    }

    private static func decoded(_ raw: ArraySlice<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(raw.count)
        var index = raw.startIndex
        while index < raw.endIndex {
            if raw[index] == UInt8(ascii: "%") {
                guard index + 2 < raw.endIndex, let high = ByteClass.hexValue(raw[index + 1]),
                    let low = ByteClass.hexValue(raw[index + 2])
                else { return nil }
                out.append(high << 4 | low)
                index += 3
            } else {
                out.append(raw[index])
                index += 1
            }
        }
        return out
    }
}
