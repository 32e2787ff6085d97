public import Model

/// The stack that `roost up --example` starts: a Node page, a Python API and a static page made by a command.
public enum ExampleStack {
    /// Name of each sample application → path → content; what becomes a git repository each.
    public static let repositories: [String: [String: String]] = SampleFiles.repositories

    /// The services, as bodies of `POST /api/v1/stacks/{id}/services`.
    ///
    /// - Parameter base: URL of the folder with the repositories, e.g. `file:///var/lib/roost/example`.
    public static func services(base: String) -> [JSONValue] {
        [
            [
                "name": "api",
                "kind": "process",
                "git_url": .string("\(base)/api"),
                "run_command": "python3 server.py",
                "path": "/api",
                "strip_path": true,
                "health_check": ["path": "/healthz", "interval": "2s"],
            ],
            [
                "name": "web",
                "kind": "process",
                "git_url": .string("\(base)/web"),
                "run_command": "node server.js",
                "path": "/",
                "env": ["GREETING": "Your first stack is running"],
                "health_check": ["path": "/healthz", "interval": "2s"],
            ],
            [
                "name": "site",
                "kind": "static",
                "git_url": .string("\(base)/site"),
                "build_command": "sh build.sh",
                "public_folder": "public",
                "path": "/site",
                "strip_path": true,
            ],
        ]
    }
}
