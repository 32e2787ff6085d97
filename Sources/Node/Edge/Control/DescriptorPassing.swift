import Glibc
import Model

/// Open descriptors in messages over a Unix socket; see unix(7), SCM_RIGHTS.
enum DescriptorPassing {
    /// The kernel takes no more in one message.
    static let descriptorsMax = 253
    private static let rights: Int32 = 1
    private static let headerBytes = MemoryLayout<cmsghdr>.size

    /// Sends a line with descriptors; both processes have them then.
    /// - Throws: `unavailable` when the other side is gone.
    static func send(_ line: [UInt8], with descriptors: [Int32], over socket: Int32) throws(Problem) {
        precondition(descriptors.count <= descriptorsMax, "more descriptors than one message takes")
        var bytes = line
        let dataBytes = descriptors.count * MemoryLayout<Int32>.size
        let control = UnsafeMutableRawPointer.allocate(byteCount: space(dataBytes), alignment: 8)
        defer { control.deallocate() }
        var header = cmsghdr()
        header.cmsg_len = headerBytes + dataBytes
        header.cmsg_level = SOL_SOCKET
        header.cmsg_type = rights
        control.storeBytes(of: header, as: cmsghdr.self)
        for (index, descriptor) in descriptors.enumerated() {
            control.storeBytes(of: descriptor, toByteOffset: headerBytes + index * 4, as: Int32.self)
        }
        let sent = bytes.withUnsafeMutableBytes { raw -> Int in
            var part = iovec(iov_base: raw.baseAddress, iov_len: raw.count)
            return withUnsafeMutablePointer(to: &part) { part in
                var message = msghdr()
                message.msg_iov = part
                message.msg_iovlen = 1
                message.msg_control = descriptors.isEmpty ? nil : control
                message.msg_controllen = descriptors.isEmpty ? 0 : headerBytes + dataBytes
                return sendmsg(socket, &message, Int32(MSG_NOSIGNAL))
            }
        }
        // A line of a few kilobytes fits into the buffer of a fresh socket.
        guard sent == line.count else { throw gone(errno) }
    }

    /// Receives up to and with a line end.
    /// - Throws: `unavailable` when the other side ends or is silent for the socket's time limit.
    static func receive(over socket: Int32) throws(Problem) -> (line: [UInt8], descriptors: [Int32]) {
        var line: [UInt8] = []
        var descriptors: [Int32] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        let controlBytes = space(descriptorsMax * MemoryLayout<Int32>.size)
        let control = UnsafeMutableRawPointer.allocate(byteCount: controlBytes, alignment: 8)
        defer { control.deallocate() }
        while line.last != UInt8(ascii: "\n"), line.count < 1 << 20 {
            var message = msghdr()
            let count = chunk.withUnsafeMutableBytes { raw -> Int in
                var part = iovec(iov_base: raw.baseAddress, iov_len: raw.count)
                return withUnsafeMutablePointer(to: &part) { part in
                    message.msg_iov = part
                    message.msg_iovlen = 1
                    message.msg_control = control
                    message.msg_controllen = controlBytes
                    return recvmsg(socket, &message, Int32(MSG_CMSG_CLOEXEC))
                }
            }
            let code = errno
            if count > 0 { descriptors += taken(control, message.msg_controllen) }
            guard count > 0, message.msg_flags & Int32(MSG_CTRUNC) == 0 else {
                for descriptor in descriptors { close(descriptor) }
                throw gone(code)
            }
            line += chunk[..<count]
        }
        return (line, descriptors)
    }

    private static func taken(_ control: UnsafeMutableRawPointer, _ bytes: Int) -> [Int32] {
        guard bytes >= headerBytes else { return [] }
        let header = control.load(as: cmsghdr.self)
        guard header.cmsg_level == SOL_SOCKET, header.cmsg_type == rights else { return [] }
        return stride(from: headerBytes, to: min(bytes, Int(header.cmsg_len)), by: 4).map {
            control.load(fromByteOffset: $0, as: Int32.self)
        }
    }

    private static func space(_ dataBytes: Int) -> Int { headerBytes + (dataBytes + 7) / 8 * 8 }

    private static func gone(_ code: Int32) -> Problem {
        Problem(
            .unavailable, "The other edge process went away in the middle of the handover.",
            context: String(cString: strerror(code)))
    }
}
