import CRoost
import Glibc
import NIOCore

/// What a socket has not taken yet, in order.
///
/// `@unchecked Sendable`: confined to its loop.
final class PendingOutput: @unchecked Sendable {
    enum Outcome {
        case done
        /// The socket is full.
        case full
        /// There is more, and others have to have their turn.
        case unfinished
        case broken(Int32)
    }

    private enum Content {
        case bytes(ByteBuffer)
        /// Of a file that stays open until the part is done with.
        case file(Int32, Range<Int>)
    }

    private struct Part {
        var content: Content
        /// Called once, with whether all of it went into the socket.
        let completion: ((Bool) -> Void)?
    }

    /// Of one system call.
    private static let partsMax = 16
    private static let fileBytesMax = 1024 * 1024
    /// Of one turn of the loop: a file may come from a disk that is slower than who reads it.
    private static let callsMax = 16

    private var parts: CircularBuffer<Part> = []
    private(set) var bytes = 0

    func add(_ buffer: ByteBuffer, _ completion: ((Bool) -> Void)? = nil) {
        bytes += buffer.readableBytes
        parts.append(Part(content: .bytes(buffer), completion: completion))
    }

    func add(file: Int32, _ range: Range<Int>, _ completion: @escaping (Bool) -> Void) {
        bytes += range.count
        parts.append(Part(content: .file(file, range), completion: completion))
    }

    /// Nothing of it will be sent any more.
    func fail() {
        bytes = 0
        while let part = parts.popFirst() { part.completion?(false) }
    }

    /// Writes until the socket is full, or for as long as one may. Memory of what is sent goes back to the loop.
    func send(to descriptor: Int32, _ loop: SocketLoop) -> Outcome {
        for _ in 0..<Self.callsMax {
            guard let first = parts.first else { return .done }
            let sent =
                switch first.content {
                case .bytes: sendBytes(descriptor, loop)
                case .file(let file, let range): sendFile(descriptor, file, range)
                }
            if sent >= 0 { continue }
            let code = errno
            switch code {
            case EINTR: continue
            case EAGAIN: return .full
            default: return .broken(code)
            }
        }
        return parts.isEmpty ? .done : .unfinished
    }

    private func sendBytes(_ descriptor: Int32, _ loop: SocketLoop) -> Int {
        var vectors: [iovec] = []
        vectors.reserveCapacity(min(parts.count, Self.partsMax))
        for part in parts.prefix(Self.partsMax) {
            guard case .bytes(let buffer) = part.content else { break }
            buffer.withUnsafeReadableBytes { raw in
                // It stays where it is as long as the part is there.
                vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: raw.baseAddress), iov_len: raw.count))
            }
        }
        let sent = vectors.withUnsafeMutableBufferPointer { croost_send_all(descriptor, $0.baseAddress, $0.count) }
        if sent >= 0 { leave(sent, loop) }
        return sent
    }

    /// - Parameter count: of bytes that went into the socket; parts without any go with those before them.
    private func leave(_ count: Int, _ loop: SocketLoop) {
        var left = count
        bytes -= count
        while let first = parts.first, case .bytes(var buffer) = first.content {
            guard buffer.readableBytes <= left else {
                buffer.moveReaderIndex(forwardBy: left)
                parts[parts.startIndex].content = .bytes(buffer)
                return
            }
            left -= buffer.readableBytes
            parts.removeFirst()
            loop.giveBack(buffer)
            first.completion?(true)
            if left == 0 { return }
        }
    }

    private func sendFile(_ descriptor: Int32, _ file: Int32, _ range: Range<Int>) -> Int {
        let sent = croost_send_file(descriptor, file, range.lowerBound, min(range.count, Self.fileBytesMax))
        guard sent >= 0 else { return sent }
        guard sent > 0 || range.isEmpty else {
            // It got shorter: what was promised cannot be kept, and the other side must see that.
            errno = EIO
            return -1
        }
        bytes -= sent
        let rest = range.dropFirst(sent)
        if rest.isEmpty {
            let part = parts.removeFirst()
            part.completion?(true)
        } else {
            parts[parts.startIndex].content = .file(file, rest)
        }
        return sent
    }
}
