extension ClientConnection {
    /// What the access log will need of the head, while it is at hand.
    func writeLogLine(_ bytes: UnsafePointer<UInt8>, _ match: RouteIndex.Match?) {
        logLine.removeAll(keepingCapacity: true)
        logLine.append(contentsOf: ",\"host\":\"".utf8)
        logLine.appendEscaped(bytes + loop.requestHead.hostName.start, loop.requestHead.hostName.count)
        logLine.append(UInt8(ascii: "\""))
        if let match { logLine.append(contentsOf: loop.table.upstreams[Int(match.upstream)].logName) }
        logLine.append(contentsOf: ",\"method\":\"".utf8)
        logLine.appendEscaped(bytes + loop.requestHead.methodRange.start, loop.requestHead.methodRange.count)
        logLine.append(contentsOf: "\",\"path\":\"".utf8)
        logLine.appendEscaped(bytes + loop.requestHead.pathOnly.start, loop.requestHead.pathOnly.count)
        logLine.append(UInt8(ascii: "\""))
    }

    /// The request is over.
    func writeLog() {
        let now = loop.takeTime()
        let microseconds = (now &- request.startedAt) / 1000
        loop.log.append(at: loop.wallMilliseconds(now)) { line in
            line.append(contentsOf: logLine)
            line.append(contentsOf: ",\"status\":".utf8)
            line.appendDecimal(UInt64(request.status))
            line.append(contentsOf: ",\"bytes\":".utf8)
            line.appendDecimal(request.bytesOut)
            line.append(contentsOf: ",\"duration_ms\":".utf8)
            line.appendDecimal(microseconds / 1000)
            line.append(UInt8(ascii: "."))
            let fraction = microseconds % 1000
            line.append(UInt8(ascii: "0") + UInt8(fraction / 100))
            line.append(UInt8(ascii: "0") + UInt8(fraction / 10 % 10))
            line.append(UInt8(ascii: "0") + UInt8(fraction % 10))
            if let lastUpstream {
                line.append(contentsOf: ",\"upstream\":\"".utf8)
                line.append(contentsOf: lastUpstream.key.utf8)
                line.append(UInt8(ascii: "\""))
            }
            line.append(contentsOf: ",\"request_id\":\"".utf8)
            line.appendHex(request.id.0)
            line.appendHex(request.id.1)
            line.append(contentsOf: "\"}".utf8)
        }
        if logLine.capacity > 4096 { logLine = [] }
    }
}
