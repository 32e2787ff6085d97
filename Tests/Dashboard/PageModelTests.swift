import AppsResources
import HubStore
import Model
import ResourceKit
import Testing

@testable import Dashboard

private let now = Timestamp(rfc3339: "2026-03-01T12:00:00Z") ?? Timestamp(millisecondsSinceEpoch: 0)

private func before(_ seconds: Int64) -> JSONValue { .string(now.advanced(by: .seconds(-seconds)).rfc3339) }

private func node(_ id: String, _ states: [String: String], silent: Bool = false) -> JSONValue {
    [
        "id": .string(id), "name": .string("node-\(id)"), "stack_id": "st", "is_silent": .bool(silent),
        "status": "active",
        "address": .string("192.0.2.\(id)"), "is_converged": true, "last_heartbeat_at": before(3),
        "services": .array(
            states.sorted { $0.key < $1.key }.map {
                ["service_id": .string($0.key), "name": .string($0.key), "state": .string($0.value)]
            }),
    ]
}

@Suite struct PagePartsTests {
    @Test(
        arguments: [
            (0, "just now"), (4, "just now"), (59, "59 s ago"), (61, "1 min ago"), (3700, "1 h ago"),
            (90_000, "1 d ago"),
            (-90, "in 1 min"),
        ] as [(Int64, String)])
    func timesAreRelative(_ seconds: Int64, _ text: String) {
        #expect(PageParts.relative(now.advanced(by: .seconds(-seconds)), now: now) == text)
    }

    @Test func theExactTimeStandsBeside() {
        let model = PageParts.time("2026-03-01T11:00:00.250Z", now: now)
        #expect(model.text("exact") == "2026-03-01 11:00:00 UTC")
        #expect(PageParts.time("yesterday", now: now).isNull)
        #expect(PageParts.time(nil, now: now).isNull)
    }

    @Test(
        arguments: [
            (850, "850 ms"), (12_400, "12.4 s"), (200_000, "3 min 20 s"),
            (
                7_500_000,
                "2 h 5 min"
            ),
        ] as [(Int64, String)])
    func spansAreShort(_ milliseconds: Int64, _ text: String) {
        #expect(PageParts.span(milliseconds: milliseconds) == text)
    }

    @Test func statesHaveShapeTextAndTone() {
        let state = PageParts.state("crash_loop")
        #expect(state == ["tone": "bad", "glyph": "glyph-bad", "label": "crash loop"])
        #expect(PageParts.tone("something new") == "idle")
    }

    @Test func gaugesStayInTheirBar() {
        #expect(PageParts.gauge("Load", share: 7.5, text: "").int("percent") == 100)
        #expect(PageParts.gauge("Load", share: -1, text: "").int("percent") == 0)
        #expect(PageParts.gauge("Load", share: 0.95, text: "").text("tone") == "bad")
    }
}

@Suite struct ServicePagesTests {
    let service: JSONValue = ["id": "web", "name": "web", "status": "active", "stack_id": "st", "path": "/"]

    @Test func theWorstStateWins() {
        #expect(ServicePages.state(of: service, nodes: [node("1", ["web": "running"])]) == "running")
        let mixed = [node("1", ["web": "running"]), node("2", ["web": "crash_loop"])]
        #expect(ServicePages.state(of: service, nodes: mixed) == "crash_loop")
        #expect(ServicePages.state(of: service, nodes: [node("1", ["web": "running"], silent: true)]) == "silent")
        var deploying = service
        deploying["status"] = "provisioning"
        #expect(ServicePages.state(of: deploying, nodes: [node("1", ["web": "running"])]) == "deploying")
        #expect(ServicePages.state(of: deploying, nodes: []) == "provisioning")
    }

    @Test func addressesComeFromHostNamesTheEdgeOrTheServers() {
        let stack: JSONValue = ["id": "st", "proxy": ["port": 8080]]
        var around = ServiceSurroundings(now: now, hubURL: "http://hub", nodes: [node("7", [:])], stack: stack)
        #expect(ServicePages.urls(of: service, around) == ["http://192.0.2.7:8080/"])
        around.edgeAddress = "127.0.0.1:9000"
        #expect(ServicePages.urls(of: service, around) == ["http://127.0.0.1:9000/"])
        var named = service
        named["hostnames"] = ["shop.example.org", "*.example.org"]
        #expect(ServicePages.urls(of: named, around) == ["http://shop.example.org:9000/"])
        var inside = service
        inside["path"] = .null
        #expect(ServicePages.urls(of: inside, around).isEmpty)
    }

    @Test func secretsAreNeverInThePage() throws {
        var secretive = service
        secretive["env"] = ["A": "plain", "B": ["secret": true, "value": "must not show"]]
        let around = ServiceSurroundings(now: now, hubURL: "http://hub")
        let html = try PageTemplates().render("service", ServicePages.page(secretive, around, isFailing: false))
        #expect(html.contains("plain"))
        #expect(!html.contains("must not show"))
    }

    @Test func theSummarySaysWhatNeedsALook() {
        let nodes = [node("1", ["web": "crash_loop"]), node("2", [:], silent: true)]
        let text = OverviewPage.summary(stacks: [["id": "st"]], services: [service], nodes: nodes)
        #expect(text == "1 stack · 1 service, 1 needs a look · 2 servers, 1 silent")
    }
}

@Suite struct DeploymentPagesTests {
    let deployment: JSONValue = [
        "id": "d1", "service_id": "web", "status": "active", "commit": "0123456789abcdef", "created_at": before(60),
        "finished_at": before(40), "durations_ms": ["fetching": 1000, "building": 3000], "nodes": ["a": "active"],
    ]

    @Test func onlyAnEarlierWorkingDeploymentCanBeGoneBackTo() {
        func path(serving: String?, mayRollBack: Bool = true, status: JSONValue = "active") -> String? {
            var deployment = deployment
            deployment["status"] = status
            return DeploymentPages.row(deployment, servingId: serving, mayRollBack: mayRollBack, now: now)
                .text("rollback_path")
        }
        #expect(path(serving: "d2") == "/deployments/d1/rollback")
        #expect(path(serving: "d1") == nil)
        #expect(path(serving: "d2", mayRollBack: false) == nil)
        #expect(path(serving: "d2", status: "failed") == nil)
    }

    @Test func phasesFollowOneAnother() {
        let rows = DeploymentPages.phaseRows(deployment)
        #expect(rows.map { $0.text("label") } == ["fetching", "building"])
        #expect(rows.map { $0.text("start") } == ["0.0", "25.0"])
        #expect(rows.map { $0.text("width") } == ["25.0", "75.0"])
    }

    @Test func theTimeTakenIsThatUntilTheEnd() {
        #expect(DeploymentPages.took(deployment, now: now) == "20.0 s")
        #expect(DeploymentPages.took(["status": "failed", "created_at": before(9)], now: now) == "")
    }

    @Test func hostileDurationsDoNoHarm() {
        let rows = DeploymentPages.phaseRows(["durations_ms": ["building": "x", "fetching": -5], "status": "failed"])
        #expect(rows.count == 2)
    }
}

@Suite struct OtherPagesTests {
    @Test func aSilentServerIsMarked() throws {
        let row = NodePages.row(node("1", [:], silent: true), now: now)
        #expect(row["state"]?.text("label") == "silent")
        let html = try PageTemplates().render(
            "node",
            NodePages.page(
                node("1", [:], silent: true), stack: .null,
                now: now))
        #expect(html.contains("This server is silent"))
    }

    @Test func aServerWithoutFiguresHasNoGauges() {
        #expect(NodePages.gauges(of: ["facts": ["load1": 1, "cpus": 0]]).isEmpty)
        #expect(NodePages.gauges(of: ["facts": ["load1": 1.5, "cpus": 2]]).count == 1)
    }

    @Test func aPlanIsSaidInWords() {
        let plan: JSONValue = [
            "plan": [
                [
                    "change": "update", "kind": "service", "id": "web",
                    "fields": [
                        "git_ref": [
                            "from": "main",
                            "to": "v2",
                        ]
                    ],
                ],
                ["change": "delete", "kind": "deployment", "id": "0123456789", "fields": [:]],
            ]
        ]
        let changes = PlanPages.changes(plan, kinds: [serviceKind, deploymentKind], names: ["web": "shop"])
        #expect(changes.map { $0.text("text") } == ["Remove deployment 01234567", "Change service shop"])
        #expect(changes[1].list("details") == [["field": "Git ref", "old": "main", "new": "v2"]])
        #expect(PlanPages.needsReview(plan))
        #expect(!PlanPages.needsReview(["plan": [["change": "update"]]]))
    }

    @Test func aPlanOfSomethingNewSaysWhatWasChosen() {
        let fields: JSONValue = [
            "name": ["from": .null, "to": "shop"], "instances": ["from": .null, "to": 1],
            "env": ["from": .null, "to": ["A": ["secret": true], "B": "1"]], "hostnames": ["from": .null, "to": []],
            "status": ["from": .null, "to": "pending"], "git_ref": ["from": .null, "to": "v1"],
        ]
        let plan: JSONValue = ["plan": [["change": "create", "kind": "service", "id": "x", "fields": fields]]]
        let change = PlanPages.changes(plan, kinds: [serviceKind], names: [:])[0]
        #expect(change.text("text") == "Create service shop")
        #expect(
            change.list("details") == [
                ["field": "Environment", "old": .null, "new": "A: (secret), B: 1"],
                ["field": "Git ref", "old": .null, "new": "v1"],
            ])
    }

    @Test func anyKindGetsAListAndFacts() {
        let resource: JSONValue = [
            "id": "x", "name": "main", "status": "active", "proxy": ["port": 80],
            "ssh_allow": [],
        ]
        let row = GenericPages.row(resource, stackKind, names: [:], now: now)
        #expect(row.list("cells").count == GenericPages.columns(stackKind).count)
        let facts = GenericPages.facts(resource, stackKind.fields, names: [:], now: now)
        #expect(facts.contains { $0.text("label") == "Proxy: Port" && $0.text("plain") == "80" })
    }

    @Test func eventsLinkToWhatTheyAreAbout() {
        let event = HubEvent(id: 4, time: now, kind: "crash", nodeId: "n", serviceId: "s", message: "m")
        let row = TimelinePages.row(event, names: ["s": "web"], now: now)
        #expect(row["service"] == ["path": "/services/s", "label": "web"])
        #expect(row.text("tone") == "bad")
        #expect(row["deployment"]?.isNull == true)
    }

    @Test func readableJSONIsIndentedAndSorted() {
        #expect(GenericPages.indented(["b": [1], "a": "x"]) == "{\n  \"a\": \"x\",\n  \"b\": [\n    1\n  ]\n}")
    }
}

@Suite struct LiveStreamsTests {
    @Test func equalChangesThatWaitAreOne() {
        let stream = LiveStream(session: "a")
        for _ in 0..<1000 { stream.add(kind: "service", id: "1") }
        stream.add(kind: "log", id: "s1")
        #expect(stream.take() == LiveStream.News(kinds: ["service"], logs: ["s1"]))
        #expect(stream.take().isEmpty)
    }

    @Test func tooManyLogsBecomeOneRefresh() {
        let stream = LiveStream(session: "a")
        for number in 0..<500 { stream.add(kind: "log", id: "\(number)") }
        let news = stream.take()
        #expect(news.logs.count == LiveStream.logsMax)
        #expect(news.kinds == ["*"])
    }

    @Test func streamsBeyondTheLimitEndTheOldest() async {
        let streams = LiveStreams()
        let surplus = 3
        let all = (0..<LiveStreams.perSessionMax + surplus).map { _ in streams.open(session: "a") }
        #expect(streams.count == LiveStreams.perSessionMax)
        for stream in all.prefix(surplus) {
            var signals = stream.signals.makeAsyncIterator()
            #expect(await signals.next() == nil)
        }
        var last = all[surplus].signals.makeAsyncIterator()
        all[surplus].beat()
        #expect(await last.next() != nil)
        _ = streams.open(session: "b")
        #expect(streams.count == LiveStreams.perSessionMax + 1)
        streams.close(all[surplus])
        #expect(streams.count == LiveStreams.perSessionMax)
    }
}
