import AgentProtocol
import Host
import Model

/// Finds the containers that sites are in front of.
struct ContainerPlaces {
    private static let timeout: Duration = .seconds(10)
    let engine: any ContainerEngine

    /// - Parameter before: places as they were found last; of what cannot be asked for, this one holds.
    /// - Returns: the place of each container that a site is in front of, by the id of its upstream.
    func find(_ sites: [DesiredSite], before: [String: ContainerPlace]) async -> [String: ContainerPlace] {
        let wanted = sites.flatMap(SiteRouting.targets).filter { $0.target.container != nil }
        guard !wanted.isEmpty else { return [:] }
        var places: [String: ContainerPlace] = [:]
        do {
            let names = Set(wanted.compactMap(\.target.container)).filter { Self.isName($0) }.sorted()
            // An exit code says only that some of them do not exist; those that do are in the answer.
            let result = try await engine.ask(
                ["container", "inspect"] + names, environment: [:], timeout: Self.timeout)
            let known = try Self.read(result)
            // An engine that is away knows no container either, which says nothing of them.
            if names.contains(where: { known[$0] == nil }) { _ = try await engine.client() }
            for part in wanted { places[part.id] = Self.place(part.target, in: known) }
        } catch {
            let problem = Problem(wrapping: error, doing: "Asking Docker for a container")
            for part in wanted { places[part.id] = before[part.id] ?? .absent(problem.message) }
        }
        return places
    }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, first != UInt8(ascii: "-"), text.utf8.count <= 255 else { return false }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_.-".contains($0)) }
    }

    /// Containers by name.
    private static func read(_ result: CommandResult) throws -> [String: JSONValue] {
        guard let list = try? JSONParser.parse(result.output).arrayValue else {  // what it says instead is told below
            let line = result.errorText.split(separator: "\n").first.map(String.init) ?? "no reason given"
            throw Problem(.unavailable, "Docker does not answer on this server: \(line.prefix(300))")
        }
        var known: [String: JSONValue] = [:]
        for container in list {
            guard let name = container["Name"]?.stringValue else { continue }
            known[String(name.drop { $0 == "/" })] = container
            // A container may be named by its id as well.
            if let id = container["Id"]?.stringValue { known[id] = container }
        }
        return known
    }

    private static func place(_ target: DesiredSiteTarget, in known: [String: JSONValue]) -> ContainerPlace {
        guard let name = target.container, let port = target.port else { return .absent("It has no port.") }
        guard let container = known[name] else { return .absent("There is no container \(name) on this server.") }
        guard container["State"]?["Running"]?.boolValue == true else {
            let status = container["State"]?["Status"]?.stringValue ?? "stopped"
            return .absent("The container \(name) does not run: it is \(status).")
        }
        let network = container["NetworkSettings"]
        if let published = network?["Ports"]?["\(port)/tcp"]?.arrayValue?.lazy.compactMap(outside).first {
            return published
        }
        if container["HostConfig"]?["NetworkMode"]?.stringValue == "host" {
            return .at(host: "127.0.0.1", port: port)
        }
        let networks = network?["Networks"]?.objectValue ?? [:]
        let addresses = networks.sorted { $0.key < $1.key }.compactMap { $0.value["IPAddress"]?.stringValue }
        guard let address = addresses.first(where: { !$0.isEmpty }) else {
            return .absent("The container \(name) has no address, and port \(port) of it is not published.")
        }
        return .at(host: address, port: port)
    }

    /// A published port, from this server's side.
    private static func outside(_ binding: JSONValue) -> ContainerPlace? {
        guard let port = binding["HostPort"]?.stringValue.flatMap(Int.init) else { return nil }
        let host = binding["HostIp"]?.stringValue ?? ""
        guard !host.contains(":") else { return host == "::" ? .at(host: "127.0.0.1", port: port) : nil }
        return .at(host: host.isEmpty || host == "0.0.0.0" ? "127.0.0.1" : host, port: port)
    }
}
