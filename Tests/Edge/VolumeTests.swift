import Edge
import Glibc
import Model
import Testing

/// A gigabyte each way with flat memory.
@Suite(.serialized, .exclusive)
struct VolumeTests {
    private static let volume = 1 << 30
    /// What a transfer may add to the memory of the whole test process, peers included.
    private static let growthBytesMax = 24 << 20

    private static let source: RawUpstream.Script = { connection, upstream in
        _ = try connection.receive(until: "\r\n\r\n")
        try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(volume)\r\n\r\n")
        let block = [UInt8](repeating: 7, count: 1 << 16)
        for _ in 0..<volume >> 16 { try connection.send(block) }
    }

    private static let sink: RawUpstream.Script = { connection, upstream in
        _ = try connection.receive(until: "\r\n\r\n")
        let count = try drain(connection, volume)
        try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \("\(count)".utf8.count)\r\n\r\n\(count)")
    }

    /// Reads without keeping anything.
    private static func drain(_ connection: RawSocket, _ bytes: Int) throws -> Int {
        connection.setTimeout(seconds: 60)
        let space = UnsafeMutableRawPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { space.deallocate() }
        var count = 0
        while count < bytes {
            let got = recv(connection.descriptor, space, 1 << 18, 0)
            guard got > 0 else { break }
            count += got
        }
        return count
    }

    @Test(.timeLimit(.minutes(2)))
    func aDownload() async throws {
        let upstream = try RawUpstream(script: Self.source)
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            let (count, growth) = try await blocking {
                let client = try RawSocket(port: port)
                let before = ownBytes()
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try client.receive(until: "\r\n\r\n")
                let half = try Self.drain(client, Self.volume / 2)
                // The client pauses: what the upstream goes on sending must not pile up.
                usleep(300_000)
                let growth = ownBytes() - before
                return (half + (try Self.drain(client, Self.volume - half)), max(growth, ownBytes() - before))
            }
            #expect(count == Self.volume)
            #expect(growth < Self.growthBytesMax, "\(growth) bytes")
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func anUpload() async throws {
        let upstream = try RawUpstream(script: Self.sink)
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            let (answer, growth) = try await blocking {
                let client = try RawSocket(port: port)
                let before = ownBytes()
                try client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \(Self.volume)\r\n\r\n")
                let block = [UInt8](repeating: 7, count: 1 << 16)
                for _ in 0..<Self.volume >> 16 { try client.send(block) }
                let growth = ownBytes() - before
                client.setTimeout(seconds: 60)
                return (try client.response()?.text, growth)
            }
            #expect(answer == "\(Self.volume)")
            #expect(growth < Self.growthBytesMax, "\(growth) bytes")
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func aFile() async throws {
        let folder = try EdgeFixture.temporaryFolder()
        let descriptor = open(folder + "/hole", O_WRONLY | O_CREAT, 0o644)
        #expect(ftruncate(descriptor, Self.volume) == 0)
        close(descriptor)
        try await EdgeFixture.with(.single(staticFolder: folder)) { edge in
            let port = edge.port
            let (count, growth) = try await blocking {
                let client = try RawSocket(port: port)
                let before = ownBytes()
                try client.send("GET /hole HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try client.receive(until: "\r\n\r\n")
                return (try Self.drain(client, Self.volume), ownBytes() - before)
            }
            #expect(count == Self.volume)
            #expect(growth < Self.growthBytesMax, "\(growth) bytes")
        }
        unlink(folder + "/hole")
    }

    @Test(.timeLimit(.minutes(5)))
    func manyConnectionsLeaveNothingBehind() async throws {
        let upstream = try RawUpstream(script: RawUpstream.answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            let port = edge.port
            let open = try await blocking {
                let before = openDescriptors()
                for _ in 0..<2000 {
                    let client = try RawSocket(port: port)
                    try client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    guard try client.receiveAll().count > 10 else { throw SocketFailure("no answer") }
                }
                return (before, openDescriptors())
            }
            #expect(open.1 - open.0 < 20, "\(open)")
        }
    }
}

/// Memory of this process without pages of files: the code that an edge gives back when it serves comes again.
func ownBytes() -> Int {
    let pages = readFile("/proc/self/statm").split(separator: " ").compactMap { Int($0) }
    return pages.count > 2 ? (pages[1] - pages[2]) * 4096 : 0
}

func openDescriptors() -> Int {
    guard let folder = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(folder) }
    var count = 0
    while readdir(folder) != nil { count += 1 }
    return count
}
