extension ClientConnection {
    /// What the access log will need of the head, while it is at hand.
    func writeLogLine(_ bytes: UnsafePointer<UInt8>, _ match: RouteIndex.Match?, namesHost: Bool = true) {
        memory.logLine.removeAll(keepingCapacity: true)
        memory.logLine.append(contentsOf: ",\"host\":\"".utf8)
        if namesHost {
            memory.logLine.appendEscaped(bytes + loop.requestHead.hostName.start, loop.requestHead.hostName.count)
        }
        memory.logLine.append(UInt8(ascii: "\""))
        if let match { memory.logLine.append(contentsOf: loop.table.logNames[Int(match.route)]) }
        logTableNumber = loop.tableNumber
        memory.logLine.append(contentsOf: ",\"method\":\"".utf8)
        memory.logLine.appendEscaped(bytes + loop.requestHead.methodRange.start, loop.requestHead.methodRange.count)
        memory.logLine.append(contentsOf: "\",\"path\":\"".utf8)
        memory.logLine.appendEscaped(bytes + loop.requestHead.pathOnly.start, loop.requestHead.pathOnly.count)
        memory.logLine.append(UInt8(ascii: "\""))
        if let match, loop.table.policies[Int(match.route)]?.logsQuery == true { writeLogQuery(bytes) }
    }

    private func writeLogQuery(_ bytes: UnsafePointer<UInt8>) {
        let start = loop.requestHead.pathOnly.end + 1
        guard start < loop.requestHead.path.end else { return }
        memory.logLine.append(contentsOf: ",\"query\":\"".utf8)
        memory.logLine.appendEscaped(bytes + start, loop.requestHead.path.end - start)
        memory.logLine.append(UInt8(ascii: "\""))
    }

    /// The address that the request came from, as `X-Forwarded-For` tells the upstream.
    private func appendClient(_ line: inout [UInt8]) {
        line.append(contentsOf: ",\"client\":\"".utf8)
        if let claim = request.claim {
            line.append(contentsOf: claim.client.text.utf8)
        } else {
            let start = 17
            let end = forwardedLines[start...].firstIndex(of: ByteClass.cr) ?? start
            line.append(contentsOf: forwardedLines[start..<end])
        }
        line.append(UInt8(ascii: "\""))
    }

    /// The request is over.
    func writeLog(_ now: UInt64) {
        // Its site may have been removed meanwhile, and the site's lines with it.
        if logTableNumber != loop.tableNumber, let sites = loop.table.siteIds,
            !memory.logLine.withUnsafeBytes({ AccessLogSite.isKept($0, sites) })
        {
            return
        }
        let microseconds = (now &- request.startedAt) / 1000
        loop.log.append(at: loop.wallMilliseconds(now)) { line in
            line.append(contentsOf: memory.logLine)
            line.append(contentsOf: ",\"status\":".utf8)
            line.appendDecimal(UInt64(request.status))
            line.append(contentsOf: ",\"bytes\":".utf8)
            line.appendDecimal(request.bytesOut)
            line.append(contentsOf: ",\"bytes_in\":".utf8)
            line.appendDecimal(request.bytesIn)
            line.append(contentsOf: ",\"duration_ms\":".utf8)
            line.appendMilliseconds(microseconds)
            if request.firstByteMicroseconds > 0 {
                line.append(contentsOf: ",\"first_byte_ms\":".utf8)
                line.appendMilliseconds(request.firstByteMicroseconds)
            }
            if request.connectMicroseconds > 0 {
                line.append(contentsOf: ",\"connect_ms\":".utf8)
                line.appendMilliseconds(request.connectMicroseconds)
            }
            if let lastUpstream {
                line.append(contentsOf: ",\"upstream\":\"".utf8)
                line.append(contentsOf: lastUpstream.key.utf8)
                line.append(UInt8(ascii: "\""))
            }
            appendClient(&line)
            line.append(contentsOf: ",\"request_id\":\"".utf8)
            line.appendHex(request.id.0)
            line.appendHex(request.id.1)
            line.append(contentsOf: "\"}".utf8)
        }
    }
}
