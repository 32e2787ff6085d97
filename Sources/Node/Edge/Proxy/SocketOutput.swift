import Glibc
import NIOCore
import NIOPosix

/// What a connection writes. One message goes straight into the socket, which nearly always takes it whole; what it
/// does not take, and several messages at once, go through the channel. Of a channel that is more than a TCP socket,
/// all do.
///
/// A channel looks at a dozen objects for each write, and those of thousands of connections are not in the cache.
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
class SocketOutput: @unchecked Sendable {
    @exclusivity(unchecked) final var context: ChannelHandlerContext?
    /// The channel's own; -1 when it is not to be written to past the channel.
    @exclusivity(unchecked) private final var descriptor: Int32 = -1
    /// Written and not flushed. Nothing is in the channel then.
    @exclusivity(unchecked) private final var held: ByteBuffer?
    /// The channel may have bytes that were not sent yet, and what follows must not overtake them.
    @exclusivity(unchecked) private final var isChannelUsed = false

    /// Whether the channel has to be asked for what was not sent yet.
    final var mayHaveUnsent: Bool { descriptor < 0 || isChannelUsed || held != nil }

    /// Writes past the channel from here on, if a TCP socket is all that there is to it.
    final func useSocket(of context: ChannelHandlerContext) {
        do {
            let found = try context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                of: NIOBSDSocket.Handle.self
            ) { $0 }
            descriptor = found ?? -1
        } catch {
            // It is closed already, and the channel will say so.
            descriptor = -1
        }
    }

    /// The descriptor is about to be closed, or was: its number may be another's at any time.
    @inline(__always)
    final func forgetSocket() {
        descriptor = -1
        held = nil
    }

    /// Puts what is held into the channel, before something that only a channel can write.
    final func useChannel() {
        isChannelUsed = true
        guard let buffer = held else { return }
        held = nil
        pass(buffer)
    }

    @inline(__always)
    final func writeOut(_ buffer: ByteBuffer) {
        if descriptor < 0 || isChannelUsed { return pass(buffer) }
        guard held != nil else {
            held = buffer
            return
        }
        useChannel()
        pass(buffer)
    }

    final func flush() {
        guard descriptor >= 0 else {
            context?.flush()
            return
        }
        if let buffer = held {
            held = nil
            send(buffer)
        } else if isChannelUsed {
            flushChannel()
        }
    }

    private final func send(_ buffer: ByteBuffer) {
        let count = buffer.readableBytes
        let sent = buffer.withUnsafeReadableBytes {
            Glibc.send(descriptor, $0.baseAddress, count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
        }
        if sent == count { return }
        // Full, or broken: the channel waits until there is room, or finds the same error.
        var rest = buffer
        rest.moveReaderIndex(forwardBy: max(0, sent))
        isChannelUsed = true
        pass(rest)
        flushChannel()
    }

    private final func flushChannel() {
        guard let context else { return }
        context.flush()
        do {
            isChannelUsed = try context.channel.syncOptions?.getOption(.bufferedWritableBytes) != 0
        } catch {
            // It is closed, and stays so.
            isChannelUsed = true
        }
    }

    private final func pass(_ buffer: ByteBuffer) {
        context?.write(NIOAny(IOData.byteBuffer(buffer)), promise: nil)
    }
}
