import Glibc
import Model

/// Ports that programs of this machine listen on, read from /proc/net (proc_net(5)).
enum ListeningPorts {
    private static let countMax = 256
    private static let fileBytesMax = 16_777_216

    /// TCP sockets that listen and UDP sockets that take datagrams from anybody, on addresses other than loopback.
    static func all() throws -> [ListeningPort] {
        var found: Set<ListeningPort> = []
        for name in ["tcp", "tcp6", "udp", "udp6"] {
            let path = "/proc/net/\(name)"
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                // A kernel without IPv6 has no such file.
                if errno == ENOENT { continue }
                throw systemProblem("open", path)
            }
            defer { close(descriptor) }
            found.formUnion(parse(try text(descriptor, path), protocol: String(name.prefix(3))))
        }
        let sorted = found.sorted { ($0.port, $0.protocol, $0.address) < ($1.port, $1.protocol, $1.address) }
        return Array(sorted.prefix(countMax))
    }

    private static func text(_ descriptor: Int32, _ path: String) throws -> String {
        var bytes: [UInt8] = []
        while bytes.count < fileBytesMax {
            // The kernel gives a page or so at a time.
            let chunk = try FileCalls.read(descriptor, count: 65_536, path)
            if chunk.isEmpty { break }
            bytes += chunk
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// One table: a heading, then a socket a line, with its local address as hexadecimal words in the byte order of the
    /// machine.
    static func parse(_ table: String, protocol name: String) -> [ListeningPort] {
        // TCP_LISTEN, and TCP_CLOSE for a UDP socket that is not connected.
        let state = name == "tcp" ? "0A" : "07"
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 3, words[3] == state else { return nil }
            let local = words[1].split(separator: ":")
            guard local.count == 2, let port = Int(local[1], radix: 16), let bytes = bytes(local[0]),
                !isLoopback(bytes), let address = text(bytes)
            else { return nil }
            return ListeningPort(protocol: name, address: address, port: port)
        }
    }

    private static func bytes(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count == 8 || text.utf8.count == 32 else { return nil }
        var bytes: [UInt8] = []
        var rest = text
        while !rest.isEmpty {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            withUnsafeBytes(of: word) { bytes.append(contentsOf: $0) }
            rest = rest.dropFirst(8)
        }
        return bytes
    }

    private static func isLoopback(_ bytes: [UInt8]) -> Bool {
        if bytes.count == 4 { return bytes[0] == 127 }
        let mapped: [UInt8] = Array(repeating: 0, count: 10) + [0xFF, 0xFF]
        if bytes.starts(with: mapped) { return bytes[12] == 127 }
        return bytes == Array(repeating: 0, count: 15) + [1]
    }

    private static func text(_ bytes: [UInt8]) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &buffer, socklen_t(buffer.count)) != nil else { return nil }
        return buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}
