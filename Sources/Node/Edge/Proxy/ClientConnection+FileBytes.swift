import Glibc
import NIOCore
import NIOPosix

extension ClientConnection {
    static let readChunkBytes = 128 * 1024

    /// Sends a stretch of a file through memory, for clients whose bytes are encrypted on the way; takes the
    /// descriptor. Disks are waited for on threads of their own.
    func sendRead(_ descriptor: Int32, _ range: Range<Int>) {
        guard phase == .sending, !range.isEmpty else {
            Glibc.close(descriptor)
            guard phase == .sending else { return }
            settle()
            return finishRequest()
        }
        touch()
        let count = min(range.count, Self.readChunkBytes)
        let start = range.lowerBound
        NIOThreadPool.singleton.runIfActive(eventLoop: loop.eventLoop) {
            FileBytes.read(descriptor, at: start, count: count)
        }.assumeIsolated().whenComplete { result in
            guard case .success(let buffer?) = result, self.phase == .sending else {
                // A file that got shorter: what was promised cannot be kept, and the client must see that.
                self.closeNow()
                return self.sendRead(descriptor, start..<start)
            }
            self.touch()
            self.request.bytesOut &+= UInt64(count)
            self.writeOut(buffer) { isSent in
                if !isSent { self.closeNow() }
                self.sendRead(descriptor, (start + count)..<range.upperBound)
            }
            self.flush()
        }
    }
}

/// Reads from a file that is open.
enum FileBytes {
    /// - Returns: exactly `count` bytes, or nil when there are fewer.
    static func read(_ descriptor: Int32, at offset: Int, count: Int) -> ByteBuffer? {
        var buffer = ByteBuffer()
        var isWhole = true
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
            var got = 0
            while got < count {
                let step = pread(descriptor, space.baseAddress! + got, count - got, off_t(offset + got))
                if step < 0, errno == EINTR { continue }
                guard step > 0 else {
                    isWhole = false
                    break
                }
                got += step
            }
            return got
        }
        return isWhole ? buffer : nil
    }
}
