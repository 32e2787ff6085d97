import Glibc
import Model
import NIOCore

/// A file as a stream of pieces.
struct FilePieces: AsyncSequence, Sendable {
    private static let pieceBytes = 1_048_576

    let path: String
    /// Hears how much was read so far.
    let onProgress: @Sendable (Int64) -> Void

    func makeAsyncIterator() -> Iterator { Iterator(path: path, onProgress: onProgress) }

    struct Iterator: AsyncIteratorProtocol {
        let path: String
        let onProgress: @Sendable (Int64) -> Void
        private var offset: Int64 = 0

        init(path: String, onProgress: @escaping @Sendable (Int64) -> Void) {
            self.path = path
            self.onProgress = onProgress
        }

        mutating func next() async throws -> ByteBuffer? {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw failure() }
            defer { close(descriptor) }
            var buffer = ByteBufferAllocator().buffer(capacity: FilePieces.pieceBytes)
            let (start, limit) = (offset, FilePieces.pieceBytes)
            let count = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: limit) {
                Swift.max(0, pread(descriptor, $0.baseAddress, limit, off_t(start)))
            }
            guard count > 0 else { return nil }
            offset += Int64(count)
            onProgress(offset)
            return buffer
        }

        private func failure() -> Problem {
            Problem(.unavailable, "\(path) cannot be read: \(String(cString: strerror(errno))).")
        }
    }
}
