import Glibc

enum SocketError {
    /// The error that a socket has met since it was asked last; nil for none.
    static func take(_ descriptor: Int32) -> Int32? {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return code == 0 ? nil : code
    }
}
