// swift-tools-version: 6.2
import PackageDescription

/// One strict settings array for every target: a target that needs an exception does not exist.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatWarning("StrictLanguageFeatures", as: .error),
]

func product(_ name: String, _ package: String) -> Target.Dependency { .product(name: name, package: package) }

let crypto = product("Crypto", "swift-crypto")
let cryptoExtras = product("CryptoExtras", "swift-crypto")
let logging = product("Logging", "swift-log")
let nioCore = product("NIOCore", "swift-nio")
let nioPosix = product("NIOPosix", "swift-nio")
let nioHTTP1 = product("NIOHTTP1", "swift-nio")
let httpClient = product("AsyncHTTPClient", "async-http-client")
let nioSSL = product("NIOSSL", "swift-nio-ssl")
let hummingbird = product("Hummingbird", "hummingbird")

func library(_ name: String, _ path: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil)
    -> Target
{
    .target(
        name: name, dependencies: dependencies, path: path, exclude: [], resources: resources, swiftSettings: strict)
}

/// A resource family: its own folder, with its tests inside.
func family(_ name: String) -> [Target] {
    [
        .target(
            name: "\(name)Resources",
            dependencies: ["Model", "Host", "AgentProtocol", "ResourceKit", "Workflow", crypto, cryptoExtras],
            path: "Resources/\(name)", exclude: ["README.md", "Tests"], swiftSettings: strict),
        .testTarget(
            name: "\(name)ResourcesTests",
            dependencies: [
                .init(stringLiteral: "\(name)Resources"), "Model", "Host", "AgentProtocol", "ResourceKit",
                "TestSupport",
            ],
            path: "Resources/\(name)/Tests", swiftSettings: strict),
    ]
}

func tests(_ name: String, _ path: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["TestSupport"], path: path, swiftSettings: strict)
}

let families = ["Access", "Apps", "Fleet", "Names", "Platform", "Tenants"]

let package = Package(
    name: "roost",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "roost", targets: ["Roost"]),
        .executable(name: "roost-simulate", targets: ["Simulate"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.0.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.20.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(name: "CRoost", path: "Sources/CRoost", linkerSettings: [.linkedLibrary("crypt")]),
        library("Model", "Sources/Model", []),
        library("AgentProtocol", "Sources/Protocol", ["Model", crypto]),
        library("Host", "Sources/Host", ["Model", "CRoost"]),
        library("CertificateReading", "Sources/CertificateReading", ["Model", nioSSL]),
        library("Workflow", "Sources/Workflow", ["Model", "Host"]),
        library("ResourceKit", "Sources/ResourceKit", ["Model", "Host", "AgentProtocol", "Workflow", crypto]),
        library(
            "Catalog", "Sources/Catalog",
            ["Model", "ResourceKit"] + families.map { .init(stringLiteral: "\($0)Resources") }),

        library(
            "HubStore", "Sources/Hub/Store",
            ["Model", "Host", "AgentProtocol", "ResourceKit", "Workflow", product("GRDB", "GRDB.swift")]),
        library("HubWorkflows", "Sources/Hub/Workflows", ["Model", "Host", "Workflow", logging]),
        .target(
            name: "HubCore",
            dependencies: [
                "Model", "Host", "AgentProtocol", "ResourceKit", "Catalog", "HubStore", "Workflow", "HubWorkflows",
                "CRoost", crypto, logging,
            ] + families.map { .init(stringLiteral: "\($0)Resources") },
            path: "Sources/Hub", exclude: ["Store", "API", "Dashboard", "Workflows", "Names"],
            sources: ["Engine", "Fleet", "Identity"],
            swiftSettings: strict),
        library(
            "HubNames", "Sources/Hub/Names",
            [
                "Model", "Host", "ResourceKit", "NamesResources", "HubStore", "HubCore", logging, httpClient, nioCore,
                nioHTTP1,
            ]),
        library(
            "HubAPI", "Sources/Hub/API",
            [
                "Model", "Host", "AgentProtocol", "ResourceKit", "Catalog", "HubStore", "HubCore", "Workflow", crypto,
                logging, hummingbird, product("HummingbirdCore", "hummingbird"),
                product("HummingbirdTLS", "hummingbird"), nioSSL, httpClient, nioCore, nioPosix, nioHTTP1,
                product("HTTPTypes", "swift-http-types"), product("NIOHTTPTypesHTTP1", "swift-nio-extras"),
            ]),
        library(
            "Dashboard", "Sources/Hub/Dashboard",
            [
                "Model", "Host", "AgentProtocol", "ResourceKit", "Catalog", "HubStore", "HubCore", "Workflow", crypto,
                logging, hummingbird, nioCore, product("Mustache", "swift-mustache"),
                product("ServiceLifecycle", "swift-service-lifecycle"),
            ]),

        library(
            "Edge", "Sources/Node/Edge",
            [
                "Model", "Host", "AgentProtocol", "NameResponder", "CertificateEncoding", "CRoost", crypto, logging,
                nioCore, nioPosix,
                nioSSL, product("NIOTLS", "swift-nio"), product("NIOHTTP2", "swift-nio-http2"),
                product("NIOHPACK", "swift-nio-http2"), product("NIOConcurrencyHelpers", "swift-nio"),
            ]),
        library("CertificateEncoding", "Sources/Node/CertificateEncoding", ["Model", crypto]),
        library(
            "Certificates", "Sources/Node/Certificates",
            [
                "Model", "Host", "AgentProtocol", "CertificateReading", "CertificateEncoding", crypto, httpClient,
                logging, nioCore, nioHTTP1, nioSSL,
            ]),
        library("NameResponder", "Sources/Node/DNS", ["Model", nioCore, nioPosix]),
        library("Supervisor", "Sources/Node/Supervisor", ["Model", "Host", "CRoost"]),
        library("NodeFirewall", "Sources/Node/Firewall", ["Model"]),
        library(
            "LinuxHost", "Sources/Node/LinuxHost",
            ["Model", "Host", "AgentProtocol", "NodeFirewall", "Supervisor", "CRoost", crypto]),
        library(
            "Node", "Sources/Node/Reconciler",
            [
                "Model", "Host", "AgentProtocol", "Certificates", crypto, logging, httpClient,
                nioCore, nioHTTP1,
            ]),

        library(
            "CLI", "Sources/CLI",
            [
                "Model", "AgentProtocol", "ResourceKit", "Catalog", httpClient, nioCore, nioHTTP1,
                product("Yams", "Yams"),
                product("ArgumentParser", "swift-argument-parser"),
            ]),
        library("Example", "Sources/Example", ["Model"]),
        .executableTarget(
            name: "Roost",
            dependencies: [
                "Model", "AgentProtocol", "Host", "Catalog", "HubStore", "HubCore", "HubNames", "HubAPI", "Dashboard",
                "Edge", "CertificateReading", "NameResponder", "Supervisor", "LinuxHost", "Node", "Certificates", "CLI",
                "Example", crypto, logging, hummingbird,
                httpClient,
                nioCore, nioPosix, nioSSL, product("ArgumentParser", "swift-argument-parser"),
                product("ServiceLifecycle", "swift-service-lifecycle"),
                product("UnixSignals", "swift-service-lifecycle"), "ResourceKit",
                product("HTTPTypes", "swift-http-types"),
            ],
            path: "Sources/Roost", swiftSettings: strict),

        library(
            "TestSupport", "Sources/TestSupport",
            [
                "Model", "Host", "AgentProtocol", "ResourceKit", "Catalog", "Workflow", "HubStore", "HubCore", "Node",
                "CertificateReading", "Certificates", "CRoost", crypto, logging,
            ]),
        .executableTarget(
            name: "workflow-bench",
            dependencies: ["Model", "Host", "LinuxHost", "Workflow", "HubStore", "HubWorkflows", logging],
            path: "Benchmarks/Workflows", swiftSettings: strict),
        .executableTarget(
            name: "Simulate", dependencies: ["TestSupport", "Model", "Host"], path: "Sources/Simulate",
            swiftSettings: strict),

        .testTarget(
            name: "HubTests",
            dependencies: [
                "Model", "Host", "AgentProtocol", "ResourceKit", "Catalog", "AccessResources", "HubStore", "HubCore",
                "HubAPI", "Dashboard", "LinuxHost", "TestSupport", "CertificateReading", "CertificateEncoding", crypto,
                logging,
                hummingbird, httpClient,
                nioCore, nioHTTP1, product("NIOEmbedded", "swift-nio"),
                product("HTTPTypes", "swift-http-types"), product("GRDB", "GRDB.swift"),
            ],
            path: "Tests/Hub", exclude: ["schemathesis.sh"], swiftSettings: strict),
        tests(
            "HubNamesTests", "Tests/HubNames",
            [
                "Model", "Host", "ResourceKit", "Catalog", "NamesResources", "HubStore", "HubCore", "HubNames",
                "HubAPI", "LinuxHost", "CertificateReading", logging,
            ]),
        tests("ConformanceTests", "Tests/Conformance", ["Model", "Host", "ResourceKit", "Catalog", "HubCore", "Node"]),
        tests(
            "WorkflowTests", "Tests/Workflow",
            ["Model", "Host", "Workflow", "ResourceKit", "HubStore", "HubWorkflows", logging]),
        tests("ModelTests", "Tests/Model", ["Model"]),
        tests("NodeTests", "Tests/Node", ["Model", "Host", "AgentProtocol", "Certificates", "Node", crypto]),
        tests("FirewallTests", "Tests/Firewall", ["Model", "NodeFirewall"]),
        tests(
            "SimulationTests", "Tests/Simulation",
            [
                "Model", "Host", "AgentProtocol", "ResourceKit", "Certificates", "HubStore", "HubCore", "Node",
                logging, crypto,
            ]),
        tests("DashboardTests", "Tests/Dashboard", ["Model", "HubStore", "ResourceKit", "AppsResources", "Dashboard"]),
        tests("CLITests", "Tests/CLI", ["Model", "ResourceKit", "Catalog", "CLI"]),
        tests("CertificatesTests", "Tests/Certificates", ["Model", "Certificates"]),
        tests(
            "EdgeTests", "Tests/Edge",
            [
                "Model", "Host", "AgentProtocol", "Edge", "NameResponder", "CertificateEncoding", "Certificates",
                "LinuxHost", "Node",
                crypto, httpClient, logging, nioCore, nioPosix, nioSSL,
            ]),
        .executableTarget(
            name: "supervise-probe", dependencies: ["Model", "Host", "Supervisor", "LinuxHost"],
            path: "Tests/SuperviseProbe", swiftSettings: strict),
        tests("LinuxHostTests", "Tests/LinuxHost", ["Model", "Host", "Supervisor", "LinuxHost", "supervise-probe"]),
        tests("TidyTests", "Tests/Tidy", ["Model", "Catalog", "ResourceKit", "CLI", "Example"]),
    ] + families.flatMap(family)
)
