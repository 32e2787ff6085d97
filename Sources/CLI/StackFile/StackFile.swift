public import Model
public import ResourceKit

/// A whole stack as a file: the fields of the stack, its services by name, and its sites by domain.
public struct StackFile: Sendable, Equatable {
    private static let servicesMax = 1000
    private static let sitesMax = 5000

    /// The stack's fields, `name` among them.
    public var stack: [String: JSONValue]
    /// Name of a service → its fields, without the name.
    public var services: [String: [String: JSONValue]]
    /// Domain of a site → its fields, without the domain.
    public var sites: [String: [String: JSONValue]] = [:]

    /// Reads and checks a file against the declared fields.
    ///
    /// - Parameters:
    ///   - name: what the file is called in messages.
    ///   - environment: where `from_env` of a secret looks; nil leaves the reference unread, for a check alone.
    /// - Throws: `invalid` with the file, the line, the path and the reason.
    public static func parse(
        _ text: String, name: String, stackKind: ResourceKind, serviceKind: ResourceKind, siteKind: ResourceKind,
        environment: [String: String]? = nil
    ) throws(Problem) -> StackFile {
        var reader = DeclaredYAML()
        do {
            var file = StackFile(stack: [:], services: [:])
            for (key, node) in try reader.members(of: try DeclaredYAML.root(text), path: "") {
                if key == "services" {
                    for (service, inner) in try reader.members(of: node, path: "services") {
                        let fields = serviceKind.fields.filter { $0.name != "name" }
                        let value = try reader.value(inner, .object(fields), path: "services.\(service)")
                        file.services[service] = value.objectValue ?? [:]
                    }
                } else if key == "sites" {
                    for (domain, inner) in try reader.members(of: node, path: "sites") {
                        file.sites[domain] = try SiteSection.read(inner, domain, siteKind, environment, &reader)
                    }
                } else if let field = stackKind.fields.first(where: { $0.name == key }) {
                    file.stack[key] = try reader.value(node, field.kind, path: key)
                } else {
                    let known = stackKind.fields.map(\.name) + ["services", "sites"]
                    let hint = Spelling.nearest(to: key, in: known).map { " Did you mean \($0)?" } ?? ""
                    throw DeclaredYAML.Flaw(
                        line: reader.lines[key], message: "\(printable(key)) is not a known field.\(hint)")
                }
            }
            guard file.services.count <= servicesMax else {
                throw DeclaredYAML.Flaw(line: nil, message: "The file has more than \(servicesMax) services.")
            }
            guard file.sites.count <= sitesMax else {
                throw DeclaredYAML.Flaw(line: nil, message: "The file has more than \(sitesMax) sites.")
            }
            try file.fillSecrets(environment, reader.lines)
            try file.check(stackKind, serviceKind, siteKind, reader.lines)
            return file
        } catch let flaw as DeclaredYAML.Flaw {
            throw Problem(.invalid, "\(name)\(flaw.line.map { ":\($0)" } ?? ""): \(flaw.message)")
        } catch {
            throw Problem(wrapping: error, doing: "Reading \(name)")
        }
    }

    /// `{secret: true, from_env: NAME}` takes the value from the environment of whoever applies the file, so that a
    /// secret need not be in it.
    private mutating func fillSecrets(_ environment: [String: String]?, _ lines: [String: Int]) throws(DeclaredYAML
        .Flaw)
    {
        for (service, spec) in services {
            guard var env = spec["env"]?.objectValue else { continue }
            for (name, value) in env {
                guard let source = value["from_env"]?.stringValue, var members = value.objectValue else { continue }
                let path = "services.\(service).env.\(name)"
                guard members["value"] == nil else {
                    throw DeclaredYAML.Flaw(line: lines[path], message: "\(path) has both value and from_env.")
                }
                members["from_env"] = nil
                if let environment {
                    guard let text = environment[source] else {
                        throw DeclaredYAML.Flaw(
                            line: lines[path],
                            message: "\(path): the environment variable \(printable(source)) is not set.")
                    }
                    members["value"] = .string(text)
                }
                env[name] = .object(members)
            }
            services[service]?["env"] = .object(env)
        }
    }

    private func check(
        _ stackKind: ResourceKind, _ serviceKind: ResourceKind, _ siteKind: ResourceKind, _ lines: [String: Int]
    ) throws(DeclaredYAML.Flaw) {
        var flaws: [(path: String, why: String)] = []
        var stackFlaws = FieldFlaws()
        stackKind.fields.check(stack, into: &stackFlaws)
        stackKind.validate(stackKind.fields.withDefaults(stack), &stackFlaws)
        flaws += stackFlaws.reasons.map { ($0.key, $0.value) }
        for (name, spec) in services {
            var serviceFlaws = FieldFlaws()
            var whole = spec.filter { !$0.value.isNull }
            whole["name"] = .string(name)
            if let env = whole["env"]?.objectValue {
                // A secret without a value is one that the hub keeps.
                whole["env"] = .object(env.filter { $0.value != ["secret": true] })
            }
            serviceKind.fields.check(whole, into: &serviceFlaws)
            serviceKind.validate(serviceKind.fields.withDefaults(whole), &serviceFlaws)
            flaws += serviceFlaws.reasons.map {
                ("services.\(name)" + ($0.key == "name" ? "" : ".\($0.key)"), $0.value)
            }
        }
        for (domain, spec) in sites {
            flaws += SiteSection.flaws(spec, domain, siteKind).map { ("sites.\(domain)\($0.path)", $0.why) }
        }
        guard let first = flaws.min(by: { (Self.line($0.path, lines), $0.path) < (Self.line($1.path, lines), $1.path) })
        else { return }
        throw DeclaredYAML.Flaw(line: Self.line(first.path, lines), message: "\(printable(first.path)) \(first.why).")
    }

    /// The line of a path, or of the nearest thing above it that is in the file.
    private static func line(_ path: String, _ lines: [String: Int]) -> Int {
        var path = path
        while lines[path] == nil, let dot = path.lastIndex(where: { $0 == "." || $0 == "[" }) {
            path = String(path[..<dot])
        }
        return lines[path] ?? 1
    }
}
