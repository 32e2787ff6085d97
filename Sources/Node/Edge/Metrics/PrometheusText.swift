import Model

/// The edge's counters in the text format of Prometheus.
struct PrometheusText {
    /// Beyond, histograms are of services, not of routes: an answer has its limits, and so has who stores it.
    static let histogramsMax = 2_000

    struct Process {
        var connections = 0
        var connectionsAccepted: UInt64 = 0
        var accessLogDropped = 0
        var endpointsOut: [String: Int] = [:]
        var breakersOpen: [String: Bool] = [:]
    }

    private var text = ""

    static func render(_ series: [SeriesKey: SeriesSample], _ process: Process) -> String {
        var writer = PrometheusText()
        writer.write(series)
        writer.write(process)
        return writer.text
    }

    private mutating func write(_ series: [SeriesKey: SeriesSample]) {
        let rows = series.sorted { ($0.key.service, $0.key.route) < ($1.key.service, $1.key.route) }
        begin("roost_edge_requests_total", "counter", "Requests answered, by class of status.")
        let classes: [(String, Series.Field)] = [
            ("1xx", .class1), ("2xx", .class2), ("3xx", .class3), ("4xx", .class4), ("5xx", .class5),
        ]
        for (key, sample) in rows {
            for (name, field) in classes where sample[field] > 0 {
                line("roost_edge_requests_total", labels(key) + ",class=\"\(name)\"", "\(sample[field])")
            }
        }
        begin("roost_edge_requests_in_flight", "gauge", "Requests under way or waiting.")
        for (key, sample) in rows {
            let open = sample[.started] - min(sample[.started], sample[.finished])
            line("roost_edge_requests_in_flight", labels(key), "\(open)")
        }
        let counters: [(String, String, Series.Field)] = [
            ("roost_edge_request_bytes_total", "Bytes of heads and bodies from clients.", .bytesIn),
            ("roost_edge_response_bytes_total", "Bytes of heads and bodies to clients.", .bytesOut),
            ("roost_edge_upstream_failures_total", "Attempts that an upstream did not answer.", .upstreamFailures),
            ("roost_edge_retries_total", "Requests sent again.", .retries),
            ("roost_edge_held_total", "Requests that waited for their upstream.", .held),
            ("roost_edge_refused_total", "Requests turned away by access rules or limits.", .refused),
        ]
        for (name, help, field) in counters {
            begin(name, "counter", help)
            for (key, sample) in rows where sample[.started] > 0 { line(name, labels(key), "\(sample[field])") }
        }
        writeHistograms(rows.map { ($0.key, $0.value) })
    }

    private mutating func writeHistograms(_ rows: [(SeriesKey, SeriesSample)]) {
        let name = "roost_edge_request_duration_seconds"
        begin(name, "histogram", "From the head of a request to the end of its answer.")
        var rows = rows
        if rows.count > Self.histogramsMax {
            var services: [String: SeriesSample] = [:]
            for (key, sample) in rows { services[key.service, default: .zero].add(sample) }
            rows = services.sorted { $0.key < $1.key }
                .map { (SeriesKey(upstreamId: "", service: $0.key, route: ""), $0.value) }
        }
        for (key, sample) in rows where sample[.finished] > 0 {
            var count: UInt64 = 0
            for index in 0..<Series.bucketCount {
                count += sample[bucket: index]
                let border = index < Series.borders.count ? Self.seconds(Series.borders[index]) : "+Inf"
                line(name + "_bucket", labels(key) + ",le=\"\(border)\"", "\(count)")
            }
            line(name + "_sum", labels(key), Self.seconds(sample[.microseconds]))
            line(name + "_count", labels(key), "\(count)")
        }
    }

    private mutating func write(_ process: Process) {
        begin("roost_edge_connections", "gauge", "Open connections of clients.")
        line("roost_edge_connections", "", "\(process.connections)")
        begin("roost_edge_connections_total", "counter", "Connections of clients since start.")
        line("roost_edge_connections_total", "", "\(process.connectionsAccepted)")
        begin("roost_edge_access_log_dropped_total", "counter", "Lines that the access log lost.")
        line("roost_edge_access_log_dropped_total", "", "\(process.accessLogDropped)")
        begin("roost_edge_endpoints_out", "gauge", "Endpoints that get no requests because they failed.")
        for (service, count) in process.endpointsOut.sorted(by: { $0.key < $1.key }) {
            line("roost_edge_endpoints_out", "service=\"\(Self.escaped(service))\"", "\(count)")
        }
        begin("roost_edge_breaker_open", "gauge", "Whether the circuit breaker refuses requests.")
        for (service, isOpen) in process.breakersOpen.sorted(by: { $0.key < $1.key }) {
            line("roost_edge_breaker_open", "service=\"\(Self.escaped(service))\"", isOpen ? "1" : "0")
        }
    }

    private mutating func begin(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private mutating func line(_ name: String, _ labels: String, _ value: String) {
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }

    private func labels(_ key: SeriesKey) -> String {
        "service=\"\(Self.escaped(key.service))\",route=\"\(Self.escaped(key.route))\""
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { out, character in
            switch character {
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            case "\n": out += "\\n"
            default: out.append(character)
            }
        }
    }

    /// Microseconds as seconds, without an exponent.
    private static func seconds(_ microseconds: UInt64) -> String {
        let fraction = String(microseconds % 1_000_000)
        var text = "\(microseconds / 1_000_000).\(String(repeating: "0", count: 6 - fraction.count))\(fraction)"
        while text.hasSuffix("0") { text.removeLast() }
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }
}
