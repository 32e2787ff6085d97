import Model
public import ResourceKit

/// An application or static site of a stack, from git or an upload.
public let serviceKind = ResourceKind(
    name: "service", plural: "services", summary: "An application or static site of a stack, from git or an upload.",
    identity: .uuid, parent: .init(kind: "stack", field: "stack_id"), isAsynchronous: true, fields: serviceFields,
    reported: [
        Field("deployment_id", .reference("deployment"), "The deployment that should be running."),
        Field("serving_deployment_id", .reference("deployment"), "The deployment that was last observed to serve."),
        Field("commit", .line, "The commit that was last observed to serve."),
        Field("upload", .line, "SHA-256 of the upload that was last observed to serve."),
        Field("deploy_key", .line, "Public half of the deploy key; add it to the repository to let Roost read it."),
        Field("webhook_path", .line, "Path of the push webhook."),
        Field("preview_id", .reference("preview"), "The preview that this service runs, if it runs one."),
        Field("canary_id", .reference("canary"), "The canary that this service runs, if it runs one."),
        Field(
            "traffic", .object(trafficFields),
            "What the edges of its servers did for it in the last minute; absent while none of them says."),
        Field("restart_generation", .integer(0...Int64.max), "How often a restart was asked for."),
    ],
    claims: { ["service/\($0.parentId ?? "")/\($0.spec["name"]?.stringValue ?? "")"] },
    actions: [
        ResourceAction(
            "deploy", "Resolve the git reference and deploy it; does nothing when it is running already.",
            answers: "deployment"),
        ResourceAction("restart", "Replace the running instances with new ones, without a gap."),
        ResourceAction("retry", "Try the failed deployment again; harmless on a healthy service."),
        ResourceAction("rotate-webhook-secret", "Make a new webhook secret and show it once."),
    ],
    columns: ["name", "kind", "commit", "git_ref", "path"], searched: ["name", "git_url"],
    validate: validateService, behaviour: ServiceBehaviour())

private let command: Field.Kind = .text(bytesMax: 8192)

/// The same for the route of a service and for a site.
let maxBodySizeField = Field(
    "max_body_size", .size(1...(1 << 50)), "What the body of a request may have; more gets 413.", example: "100M")

private let serviceFields: [Field] = [
    Field(
        "name", .string(check: Names.dnsLabelFlaw), "Unique name in the stack; also its internal host name.",
        required: true, immutable: true, example: "web"),
    Field(
        "kind", .choice(["process", "static", "container", "compose"]),
        "A process that listens on a port, a folder of files, a container of a Dockerfile, or a compose file.",
        default: "process"),
    Field(
        "git_url", .string(check: Names.gitURLFlaw),
        "Repository: an https, ssh, git or file URL, or user@host:path; without one, it runs what is uploaded.",
        example: "https://git.example.org/shop.git"),
    Field(
        "git_ref", .string(check: Names.gitRefFlaw), "Branch, tag or commit; the default branch when absent.",
        example: "main"),
    Field(
        "build_command", command, "Shell command run in the checkout before the release goes live.",
        example: "npm ci && npm run build"),
    Field(
        "build_timeout", .duration(.seconds(1)...(.seconds(86_400))), "The build is ended after this time.",
        default: "15m"),
    Field(
        "build_memory_max", .size(16_777_216...(1 << 50)), "The build is ended above this much memory.",
        default: "2G"),
    Field(
        "run_command", command,
        "Shell command that starts the application; it must listen on $PORT. A container needs none.",
        example: "node server.js"),
    Field(
        "dockerfile", .string(check: Names.relativePathFlaw),
        "Dockerfile of a container service, inside the checkout; Dockerfile when absent.",
        example: "deploy/Dockerfile"),
    Field(
        "compose_file", .string(check: Names.relativePathFlaw),
        "Compose file of a compose service, inside the checkout; the usual names when absent.",
        example: "compose.yaml"),
    Field(
        "public_folder", .string(check: { $0 == "." ? nil : Names.relativePathFlaw($0) }),
        "Folder of a static service, inside the checkout.", example: "dist"),
    Field("files", .object(fileFields), "How the files of a static service are served."),
    Field(
        "port", .integer(1...65535),
        "Fixed port of the application (of a container: inside it); without it one is assigned and given as PORT."),
    Field("path", .string(check: Names.pathPrefixFlaw), "Public path prefix.", example: "/"),
    Field(
        "strip_path", .boolean, "Whether the prefix is removed before the request reaches the application.",
        default: false),
    Field(
        "hostnames", .list(of: .string(check: { Names.hostnameFlaw($0, wildcard: true) }), countMax: 100),
        "Public host names; any when empty.", default: [], example: ["shop.example.org"]),
    maxBodySizeField,
    Field(
        "env", .map(key: Names.environmentNameFlaw, value: .environmentValue, countMax: 500),
        "Environment; a value may be text or {\"value\": …, \"secret\": true}.", default: [:],
        example: ["LOG_LEVEL": "info"]),
    Field("health_check", .object(healthFields), "How an instance shows that it works.", default: [:]),
    Field("memory_max", .size(4_194_304...(1 << 50)), "Memory limit of an instance.", example: "512M"),
    Field("cpu_quota", .number(0.01...1024), "CPU limit of an instance, in CPUs.", example: 0.5),
    Field("instances", .integer(1...32), "How many instances run on each server.", default: 1),
    Field(
        "protocol", .choice(["http1", "h2c"]), "What it speaks behind the edge; h2c is what gRPC servers want.",
        default: "http1"),
    Field("balance", .object(balanceFields), "How requests are spread over its instances.", default: [:]),
    Field("breaker", .object(breakerFields), "When it gets no requests for a while.", default: [:]),
    Field(
        "stop_signal", .choice(["TERM", "INT", "QUIT", "HUP", "USR1", "USR2"]), "Signal that asks it to stop.",
        default: "TERM"),
    Field(
        "stop_grace", .duration(.zero...(.seconds(3600))), "From the stop signal until it is killed.",
        default: "10s"),
    Field(
        "idle_timeout", .duration(.seconds(10)...(.seconds(2_592_000))),
        "Instances are stopped after this long without a request, and started by the next one.", example: "30m"),
    Field("retain", .integer(1...100), "Releases kept for rollback.", default: 5),
    Field("auto_deploy", .boolean, "Whether a push webhook deploys.", default: true),
    Field(
        "auto_preview", .boolean,
        "Whether each pull request that a webhook tells of gets a preview until it is closed.",
        default: false),
]

let trafficFields: [Field] = [
    Field("requests_per_second", .number(0...1_000_000_000), "Requests answered."),
    Field("errors_per_second", .number(0...1_000_000_000), "Of them, answers of class 5xx."),
    Field("p50_ms", .number(0...1_000_000_000), "Half of the answers took no longer; of the slowest server."),
    Field("p95_ms", .number(0...1_000_000_000), "95 of 100 took no longer."),
    Field("p99_ms", .number(0...1_000_000_000), "99 of 100 took no longer."),
]

private let healthFields: [Field] = [
    Field("path", .string(check: Names.pathPrefixFlaw), "GET this path and expect 200–399; without it a TCP connect."),
    Field("interval", .duration(.milliseconds(100)...(.seconds(3600))), "Time between checks.", default: "5s"),
    Field(
        "timeout", .duration(.milliseconds(50)...(.seconds(300))), "A check without answer by then has failed.",
        default: "2s"),
    Field(
        "grace", .duration(.milliseconds(100)...(.seconds(3600))), "A new instance must be healthy by then.",
        default: "60s"),
    Field("healthy_threshold", .integer(1...100), "Successes in a row to count as healthy.", default: 1),
    Field("unhealthy_threshold", .integer(1...100), "Failures in a row to count as unhealthy.", default: 3),
]

private let balanceFields: [Field] = [
    Field(
        "policy", .choice(["least-connections", "round-robin"]),
        "Which instance gets a request: the one with the fewest under way, or each in its turn.",
        default: "least-connections"),
    Field(
        "sticky", .boolean, "Binds a browser to the instance that answered it first, for as long as that answers.",
        default: false),
    Field(
        "retries", .integer(0...5),
        "How often another instance is asked when one fails before the request has had an effect.", default: 1),
]

private let breakerFields: [Field] = [
    Field(
        "failures", .integer(1...100_000),
        "So many failures within the window, and requests get 503 at once for the time of rest; without it, never.",
        example: 20),
    Field("window", .duration(.milliseconds(100)...(.seconds(3600))), "Older failures do not count.", default: "10s"),
    Field(
        "rest", .duration(.milliseconds(100)...(.seconds(3600))), "After it one request tries whether it works again.",
        default: "10s"),
]

private let fileFields: [Field] = [
    Field(
        "fallback", .string(check: Names.relativePathFlaw),
        "File that answers visits of pages that are not there: the page of a single-page application.",
        example: "index.html"),
    Field(
        "not_found_page", .string(check: Names.relativePathFlaw), "File that is shown for what is not there, with 404.",
        example: "404.html"),
    Field("cache_control", .string(check: cacheControlFlaw), "Cache-Control of all files.", example: "max-age=300"),
    Field(
        "caches_hashed_names", .boolean,
        "Whether browsers keep files with a hash in their names, such as app.3f9a1c2b.js, for a year.", default: false),
]

@Sendable private func cacheControlFlaw(_ text: String) -> String? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
        return "must be printable ASCII characters"
    }
    return text.utf8.count > 1024 ? "must have at most 1024 characters" : nil
}

@Sendable private func validateService(_ spec: [String: JSONValue], _ flaws: inout FieldFlaws) {
    let kind = spec["kind"]?.stringValue ?? "process"
    func isSet(_ field: String) -> Bool { spec[field].map { !$0.isNull } == true }
    for (field, kinds) in fieldsOfKinds where isSet(field) && !kinds.contains(kind) {
        flaws.add(field, refusal(of: field, kind, kinds))
    }
    if kind == "process", spec["run_command"]?.stringValue?.isEmpty != false {
        flaws.add("run_command", "is required for a process")
    }
    if kind == "compose" {
        if let signal = spec["stop_signal"]?.stringValue, signal != "TERM" {
            flaws.add("stop_signal", "belongs into the compose file")
        }
        if let count = spec["instances"]?.intValue, count > 1 {
            flaws.add("instances", "must be 1 for a compose file; scale its services in the file")
        }
    } else if kind != "container", isSet("port"), let count = spec["instances"]?.intValue, count > 1 {
        flaws.add("instances", "must be 1 with a fixed port")
    }
    if spec["protocol"] == "h2c" {
        if kind == "static" { flaws.add("protocol", refusal(of: "protocol", kind, ["process"])) }
        if spec["health_check"]?["path"]?.stringValue != nil {
            flaws.add("health_check.path", "is asked by HTTP/1.1; without it, whoever takes connections is well")
        }
    }
    if let names = spec["hostnames"]?.arrayValue, Set(names).count != names.count {
        flaws.add("hostnames", "has a name twice")
    }
    for name in spec["env"]?.objectValue?.keys.sorted() ?? [] {
        if name == "PORT" || isPeerURL(name) { flaws.add("env.\(name)", "is set by Roost") }
        if kind == "container" || kind == "compose", steersDocker(name) {
            flaws.add("env.\(name)", "would steer the docker program; set it in the Dockerfile or compose file")
        }
    }
}

/// Fields that only some kinds have.
private let fieldsOfKinds: [(field: String, kinds: [String])] = [
    ("run_command", ["process", "container"]), ("dockerfile", ["container"]), ("compose_file", ["compose"]),
    ("public_folder", ["static"]), ("files", ["static"]), ("port", ["process", "container", "compose"]),
    ("idle_timeout", ["process", "container", "compose"]),
    ("memory_max", ["process", "static", "container"]), ("cpu_quota", ["process", "static", "container"]),
]

private func refusal(of field: String, _ kind: String, _ kinds: [String]) -> String {
    if kind == "compose", kinds != ["static"] { return "belongs into the compose file" }
    return kinds.count == 1 ? "is only for a \(kinds[0]) service" : "is not for a \(kind) service"
}

/// The client, which runs with the rights of the agent, gets the values of a container from its own environment.
private func steersDocker(_ name: String) -> Bool {
    let exact = [
        "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_TLS_VERIFY",
        "DOCKER_API_VERSION", "DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST", "DOCKER_CONTENT_TRUST_SERVER",
        "DOCKER_BUILDKIT", "DOCKER_CLI_PLUGIN_EXTRA_DIRS",
    ]
    return exact.contains(name) || ["LD_", "COMPOSE_", "BUILDKIT_", "BUILDX_"].contains { name.hasPrefix($0) }
}

private func isPeerURL(_ name: String) -> Bool { name.hasPrefix("SERVICE_") && name.hasSuffix("_URL") }
