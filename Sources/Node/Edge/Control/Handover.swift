import Glibc
import Logging
import Model
import NIOCore

/// How one edge process follows another without a refused connection.
///
/// The new process asks over the control socket and gets all listening sockets. When it is ready it says so; then the old
/// one stops accepting, lets the new one begin, and finishes what it has. Connections that come in between wait in the
/// sockets' queues. When the new one goes away before that, nothing has changed. Only a greater generation is given the sockets, so that a process that is started again by its
/// supervisor does not take them back.
struct Handover: Sendable {
    private static let timeoutSeconds = 20
    private static let ready = Array("ready\n".utf8)

    /// The sockets of the process before this one.
    let sockets: [BoundListener]
    private let connection: Int32

    // MARK: the new process

    /// - Returns: nil when no edge answers at the control socket.
    /// - Throws: `conflict` when the one that answers is of the same generation or a later one, `unavailable` when it
    ///   goes away in the middle.
    static func request(controlSocket path: String, generation: Int) throws(Problem) -> Handover? {
        guard let connection = connected(path) else { return nil }
        do {
            let request = try ControlMessage.encode(.handOver(generation: generation))
            try DescriptorPassing.send(request, with: [], over: connection)
            let answer = try DescriptorPassing.receive(over: connection)
            return Handover(sockets: try read(answer.line, answer.descriptors), connection: connection)
        } catch {
            close(connection)
            throw error
        }
    }

    /// Tells the old process that this one is ready; returns when that one accepts no more.
    /// - Throws: `unavailable` when it is gone already, which changes nothing for this process.
    func commit() throws(Problem) {
        defer { close(connection) }
        try DescriptorPassing.send(Self.ready, with: [], over: connection)
        var byte: UInt8 = 0
        // The end of the connection is the answer.
        while recv(connection, &byte, 1, 0) < 0, errno == EINTR {}
    }

    /// Leaves everything to the old process, after the sockets were closed.
    func abandonConnection() { close(connection) }

    private static func connected(_ path: String) -> Int32? {
        // A path that is too long for a socket has nobody behind it.
        guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return nil }
        let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard connection >= 0 else { return nil }
        guard address.withSockAddr({ connect(connection, $0, socklen_t($1)) }) == 0 else {
            close(connection)
            return nil
        }
        setTimeout(connection)
        return connection
    }

    private static func setTimeout(_ connection: Int32) {
        var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
    }

    private static func read(_ line: [UInt8], _ descriptors: [Int32]) throws(Problem) -> [BoundListener] {
        let json = try JSONParser.parse(line)
        guard let list = json["sockets"]?.arrayValue, list.count == descriptors.count else {
            for descriptor in descriptors { close(descriptor) }
            _ = try ControlMessage.decodeResponse(line)
            throw Problem(.unavailable, "The edge gave an answer that cannot be read.")
        }
        return zip(list, descriptors).map { entry, descriptor in
            BoundListener(
                role: entry["role"]?.stringValue ?? "", address: entry["address"]?.stringValue ?? "",
                descriptor: descriptor)
        }
    }

    // MARK: the old process

    /// Gives the sockets over `connection`, which it owns from here on, and waits for the new process to be ready.
    /// Blocks: called from the control socket's thread, which applies no table meanwhile.
    static func offer(over connection: Int32, to generation: Int, _ core: EdgeCore, _ logger: Logger) {
        let flags = fcntl(connection, F_GETFL)
        _ = fcntl(connection, F_SETFL, flags & ~O_NONBLOCK)
        setTimeout(connection)
        do {
            let sockets = try core.socketsForHandover(to: generation)
            defer { for socket in sockets { close(socket.descriptor) } }
            let list = sockets.map { JSONValue.object(["role": .string($0.role), "address": .string($0.address)]) }
            let line = JSONValue.object(["sockets": .array(list)]).canonicalBytes + [UInt8(ascii: "\n")]
            try DescriptorPassing.send(line, with: sockets.map(\.descriptor), over: connection)
            let answer = try DescriptorPassing.receive(over: connection)
            for descriptor in answer.descriptors { close(descriptor) }
            guard answer.line == ready else { throw Problem(.invalid, "The new edge process did not say ready.") }
            try core.handOver()
            logger.info("Another edge process serves; this one finishes what it has")
        } catch {
            logger.warning("The sockets were not handed over", metadata: ["problem": "\(error)"])
            let problem = Problem(wrapping: error, doing: "Handing the sockets over")
            do {
                try DescriptorPassing.send(ControlMessage.encode(.failure(problem)), with: [], over: connection)
            } catch {
                // Whom it concerns is gone.
            }
        }
        close(connection)
    }
}
