import AgentProtocol
import Certificates
import Host
import Logging
import Model
import TestSupport
import Testing

@testable import Node

/// Sites on a simulated server: what the edge shows, what is kept on disk, and what is left of one that is gone.
@Suite struct SiteTests {
    private static let paths = AgentPaths(root: "/roost")
    private static let tls = "0.0.0.0:443"

    private static func onMachine<Result: Sendable>(
        _ body: @escaping @Sendable (SimulatedMachine, VirtualTime) async throws -> Result
    ) async throws -> Result {
        let random = SeededRandom(21)
        let clock = VirtualTime(random: random.fork())
        let machine = SimulatedMachine(
            name: "node-1", source: SimulatedSource(), clock: clock, random: random.fork())
        return try await clock.run {
            try await machine.start(UnitSpec(id: "edge", argv: ["edge"], logFolder: "/roost/logs/edge"))
            return try await body(machine, clock)
        }
    }

    private static func director(_ machine: SimulatedMachine, _ gate: any EffectGate = OpenGate()) -> SiteDirector {
        let host = machine.host(gate: gate)
        return SiteDirector(
            host: host, paths: paths,
            edge: EdgeDirector(host: host, suffix: "svc.internal", logFolder: "/roost/logs/edge"),
            access: AuthorityAccess(transports: UnreachableAuthority()),
            logger: Logger(label: "sites", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private static func site(
        _ domain: String, _ mode: DesiredSiteTLS.Mode = .selfSigned, _ change: (inout DesiredSite) -> Void = { _ in }
    ) -> DesiredSite {
        var site = DesiredSite(
            id: domain, domain: domain, target: DesiredSiteTarget(host: "10.0.0.5", port: 80),
            tls: DesiredSiteTLS(mode: mode, redirectsClearText: true))
        change(&site)
        return site
    }

    private static func document(_ sites: [DesiredSite]) -> DesiredState {
        DesiredState(
            nodeId: "n", stackId: "s", stackName: "default", generation: 1, pollIntervalMs: 1000,
            proxy: DesiredProxy(bind: "0.0.0.0", port: 80, tlsPort: 443), dns: DesiredDNS(suffix: "svc.internal"),
            securityMode: "open", peers: [], services: [], sites: sites,
            authority: DesiredAuthority(directoryUrl: "https://ca.example/dir", contacts: ["mailto:a@example.org"]))
    }

    /// Until nothing changes any more, as the agent's loops do it.
    private static func settle(_ director: SiteDirector, _ document: DesiredState) async throws {
        for _ in 0..<4 {
            _ = try await director.keep(document, tlsAddress: tls, generation: 1)
            _ = await director.certificates.step()
            await director.note(director.certificates.report())
        }
    }

    @Test func `a site is shown with its certificate, and leaves nothing behind`() async throws {
        try await Self.onMachine { machine, _ in
            let director = Self.director(machine)
            let document = Self.document([Self.site("a.example"), Self.site("b.example", .off)])
            try await Self.settle(director, document)
            #expect(machine.table.routes.map(\.hosts) == [["a.example"], ["b.example"]])
            #expect(machine.table.certificates?.map(\.names) == [["a.example"]])
            #expect(await director.reports.map(\.state) == ["active", "active"])
            #expect(await director.reports[0].certificateNotAfter != nil)
            #expect(machine.paths(below: "/roost/certificates").count == 3)
            try await Self.settle(director, Self.document([]))
            #expect(machine.table.routes.isEmpty && machine.table.upstreams.isEmpty)
            #expect(machine.table.certificates == nil)
            #expect(machine.paths(below: "/roost/certificates") == [])
            #expect(await director.reports == [])
        }
    }

    @Test func `names that a site gains do not cost it its certificate meanwhile`() async throws {
        try await Self.onMachine { machine, _ in
            let director = Self.director(machine)
            try await Self.settle(director, Self.document([Self.site("a.example")]))
            let former = machine.table.certificates
            let wider = Self.site("a.example", .acme) { $0.aliases = ["b.example"] }
            try await Self.settle(director, Self.document([wider]))
            #expect(machine.table.certificates == former)
            #expect(await director.reports.map(\.state) == ["failed"])
            #expect(await director.reports[0].message?.contains("cannot be reached") == true)
            try await Self.settle(director, Self.document([Self.site("a.example") { $0.aliases = ["b.example"] }]))
            #expect(machine.table.certificates?.map(\.names) == [["a.example", "b.example"]])
            #expect(await director.reports.map(\.state) == ["active"])
        }
    }

    @Test func `a successor shows what its predecessor showed before it does anything else`() async throws {
        try await Self.onMachine { machine, _ in
            let document = Self.document([Self.site("a.example")])
            let director = Self.director(machine)
            try await Self.settle(director, document)
            let before = machine.table
            let gate = CuttingGate()
            let successor = Self.director(machine, gate)
            try await successor.note(document, tlsAddress: Self.tls)
            #expect(gate.labels == [])
            try await Self.settle(successor, document)
            #expect(machine.table == before)
            // One that finds the site gone takes it away, though it never showed it.
            let last = Self.director(machine)
            try await Self.settle(last, Self.document([]))
            #expect(machine.table.routes.isEmpty)
            #expect(machine.paths(below: "/roost/certificates") == [])
        }
    }

    /// A site comes, changes and goes, with the power cut at each effect, before it and after it.
    @Test func `power cuts leave neither a half site nor a trace`() async throws {
        let lives = [
            Self.document([Self.site("a.example"), Self.site("b.example", .off)]),
            Self.document([Self.site("a.example") { $0.aliases = ["c.example"] }]), Self.document([]),
        ]
        let whole = try await Self.onMachine { machine, _ in
            let gate = CuttingGate()
            let director = Self.director(machine, gate)
            for document in lives { try await Self.settle(director, document) }
            return gate.labels.count
        }
        #expect(whole > 10)
        for cut in 0..<whole {
            for moment in [CuttingGate.Moment.before, .after] {
                try await Self.onMachine { machine, _ in
                    let gate = CuttingGate(cutAt: cut, moment)
                    var director = Self.director(machine, gate)
                    for document in lives {
                        try await Self.settle(director, document)
                        if gate.isCut {
                            director = Self.director(machine)
                            try await director.note(document, tlsAddress: Self.tls)
                            try await Self.settle(director, document)
                        }
                        let names = Set(machine.table.certificates?.flatMap(\.names) ?? [])
                        let wanted = (document.sites ?? []).compactMap(SiteRouting.wanted).flatMap(\.names)
                        #expect(names == Set(wanted), "cut \(cut) \(moment)")
                        #expect(await director.reports.allSatisfy { $0.state == "active" }, "cut \(cut) \(moment)")
                    }
                    #expect(machine.paths(below: "/roost/certificates") == [], "cut \(cut) \(moment)")
                    #expect(machine.table.routes.isEmpty, "cut \(cut) \(moment)")
                }
            }
        }
    }

    @Test func `a container that is not there is named in the report, and the others go on`() async throws {
        try await Self.onMachine { machine, _ in
            let director = Self.director(machine)
            let gone = Self.site("c.example", .off) { $0.target = DesiredSiteTarget(container: "web", port: 80) }
            try await Self.settle(director, Self.document([Self.site("a.example"), gone]))
            #expect(await director.reports.map(\.state) == ["active", "failed"])
            #expect(machine.table.upstreams.map(\.mode) == [.serve, .down])
        }
    }
}

private struct UnreachableAuthority: ACMETransports, ACMETransport {
    func transport(rootsPEM: String?) async throws -> any ACMETransport { self }
    func send(_ url: String, body: [UInt8]?) async throws -> ACMEReply {
        throw Problem(.unavailable, "The certificate authority cannot be reached.")
    }
}
