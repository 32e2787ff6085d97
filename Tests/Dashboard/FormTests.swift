import AppsResources
import Model
import ResourceKit
import Testing

@testable import Dashboard

@Suite struct FormBodyTests {
    @Test func decodesPercentsPlusesAndLineEnds() throws {
        let body = try FormBody(Array("a=1+2&b=%C3%A9%26&c=x%0D%0Ay%0Dz&d&=e".utf8))
        #expect(body["a"] == "1 2")
        #expect(body["b"] == "é&")
        #expect(body["c"] == "x\ny\nz")
        #expect(body["d"] == "")
        #expect(body[""] == "e")
    }

    @Test func malformedEscapesStayText() throws {
        let body = try FormBody(Array("a=%zz%&b=%C3%28".utf8))
        #expect(body["a"] == "%zz%")
        #expect(body["b"]?.hasSuffix("(") == true)
    }

    @Test func theLastValueCounts() throws {
        #expect(try FormBody(Array("x=false&x=true".utf8))["x"] == "true")
    }

    @Test func tooManyValuesAreRefused() {
        let bytes = Array(String(repeating: "a&", count: FormBody.pairsMax + 1).utf8)
        #expect(throws: Problem.self) { try FormBody(bytes) }
    }

    @Test(arguments: [
        ("/services", "/services"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"), ("", "/"), ("/ä", "/"),
    ])
    func redirectsStayHere(_ asked: String, _ given: String) {
        #expect(localPath(asked) == given)
    }

    @Test func encodesForAddresses() {
        #expect(percentEncoded("a b/ü") == "a%20b%2F%C3%BC")
    }
}

@Suite struct FormDecodingTests {
    let fields = serviceKind.fields

    func values(_ pairs: [(String, String)], keeping stored: FormValues? = nil) -> FormValues {
        var body = FormBody()
        for (name, value) in pairs { body.append(name, value) }
        return FormValues(sent: body, for: fields, keeping: stored)
    }

    @Test func aNewResourceGetsWhatWasFilledIn() {
        let body = FormDecoding().body(
            values([
                ("name", " web "), ("git_url", "https://git.example.org/a.git"), ("git_ref", ""), ("instances", "2"),
                ("cpu_quota", "0.5"), ("strip_path", "false"), ("strip_path", "true"), ("stop_grace", "5s"),
                ("hostnames", "a.example.org\n\n b.example.org \n"), ("health_check.path", "/up"),
                ("health_check.interval", ""), ("env[0].key", "A"), ("env[0].value", "1"), ("env[1].key", "B"),
                ("env[1].value", "s3cret"), ("env[1].secret", "true"), ("env[2].key", ""), ("env[2].value", ""),
            ]), of: fields)
        #expect(
            body == [
                "name": "web", "git_url": "https://git.example.org/a.git", "instances": 2, "cpu_quota": 0.5,
                "strip_path": true, "stop_grace": "5s", "hostnames": ["a.example.org", "b.example.org"],
                "health_check": ["path": "/up"], "env": ["A": "1", "B": ["value": "s3cret", "secret": true]],
            ])
    }

    @Test func aGroupThatNobodyFilledInStaysAway() {
        let left = [("files.caches_hashed_names", "false"), ("files.fallback", ""), ("balance.retries", "1")]
        #expect(FormDecoding().body(values(left), of: fields).isEmpty)
        #expect(FormDecoding(stored: ["name": "web"]).body(values(left), of: fields).isEmpty)
        let filled = left + [("files.fallback", "index.html"), ("balance.retries", "2")]
        #expect(
            FormDecoding().body(values(filled), of: fields) == [
                "files": ["fallback": "index.html"], "balance": ["retries": 2],
            ])
    }

    @Test func whatIsNoNumberStaysTextAndIsRefusedByTheField() {
        let body = FormDecoding().body(values([("instances", "two")]), of: fields)
        #expect(body["instances"] == "two")
        var flaws = FieldFlaws()
        fields.check(body, partial: true, into: &flaws)
        #expect(flaws.reasons["instances"] != nil)
    }

    let stored: [String: JSONValue] = [
        "name": "web", "git_url": "https://git.example.org/a.git", "git_ref": "main", "instances": 1,
        "strip_path": false, "auto_deploy": true, "build_timeout": 900, "build_memory_max": 2_147_483_648,
        "hostnames": ["a.example.org"], "env": ["A": "1", "B": ["secret": true]],
        "health_check": ["path": "/up", "interval": "5s"],
    ]

    /// A form as a browser sends it when nobody touched it.
    func untouched(_ changes: [String: String] = [:]) -> FormValues {
        let shown = FormValues(showing: stored, of: fields)
        var pairs = shown.texts.map { ($0.key, changes[$0.key] ?? $0.value) }
        for (number, row) in (shown.rows["env"] ?? []).enumerated() {
            pairs.append(("env[\(number)].key", row.key))
            pairs.append(("env[\(number)].value", changes["env.\(row.key)"] ?? row.value))
            if row.isSecret { pairs.append(("env[\(number)].secret", "true")) }
        }
        return values(pairs, keeping: shown)
    }

    @Test func anUntouchedFormChangesNothing() {
        #expect(FormDecoding(stored: stored).body(untouched(), of: fields).isEmpty)
    }

    @Test func onlyWhatChangedIsSent() {
        let body = FormDecoding(stored: stored).body(untouched(["git_ref": "v2", "build_timeout": "15m"]), of: fields)
        #expect(body == ["git_ref": "v2"])
    }

    @Test func anEmptiedInputClearsTheField() {
        let body = FormDecoding(stored: stored).body(untouched(["git_ref": " ", "hostnames": ""]), of: fields)
        #expect(body == ["git_ref": .null, "hostnames": []])
    }

    @Test func aStoredSecretIsKeptUnlessItIsTypedAnew() {
        let kept = FormDecoding(stored: stored).body(untouched(["env.A": "2"]), of: fields)
        #expect(kept == ["env": ["A": "2", "B": ["secret": true]]])
        let changed = FormDecoding(stored: stored).body(untouched(["env.B": "new"]), of: fields)
        #expect(changed == ["env": ["A": "1", "B": ["value": "new", "secret": true]]])
    }

    @Test func aSecretThatIsNoLongerOneNeedsItsValueAgain() {
        let shown = FormValues(showing: stored, of: fields)
        let values = values([("env[0].key", "B"), ("env[0].value", "")], keeping: shown)
        #expect(FormDecoding(stored: stored).body(values, of: fields)["env"] == ["B": ""])
    }

    @Test func aGroupIsSentWhole() {
        let body = FormDecoding(stored: stored).body(untouched(["health_check.path": ""]), of: fields)
        #expect(body == ["health_check": ["path": .null, "interval": "5s"]])
    }

    @Test func immutableFieldsAreNeverChanged() {
        #expect(FormDecoding(stored: stored).body(untouched(["name": "other"]), of: fields).isEmpty)
    }

    @Test func aSecretInTheFormIsNotShown() {
        let shown = FormValues(showing: stored, of: fields)
        #expect(shown.rows["env"]?.first { $0.key == "B" }?.value == "")
        #expect(shown.texts["build_memory_max"] == "2G")
        #expect(shown.texts["build_timeout"] == "15m")
    }
}

@Suite struct FormFieldsTests {
    @Test func everyDeclaredKindOfFieldHasAnInput() {
        let fields: [Field] = [
            Field("line", .line, "A"), Field("text", .text(bytesMax: 10), "B"), Field("whole", .integer(0...9), "C"),
            Field("number", .number(0...1), "D"), Field("flag", .boolean, "E", default: true),
            Field("span", .duration(.zero...(.seconds(9))), "F", default: "5s"), Field("size", .size(0...9), "G"),
            Field("choice", .choice(["a", "b"]), "H", default: "b"), Field("list", .list(of: .line, countMax: 3), "I"),
            Field("map", .map(key: { _ in nil }, value: .environmentValue, countMax: 3), "J"),
            Field("group", .object([Field("inner", .line, "K", default: "x")]), "L"),
            Field("reference", .reference("stack"), "M"), Field("secret", .line, "N", secret: true),
            Field("free", .list(of: .object([]), countMax: 3), "O"),
        ]
        let values = FormValues(showing: fields.withDefaults([:]), of: fields)
        let inputs = FormFields(values: values, options: ["stack": [.init(value: "1", label: "one")]])
        let models = inputs.models(fields)
        func model(_ name: String) -> JSONValue { models.first { $0.text("name") == name } ?? .null }
        #expect(model("line").flag("is_line"))
        #expect(model("text").flag("is_text"))
        #expect(model("whole").text("input_mode") == "numeric")
        #expect(model("flag").flag("is_checked"))
        #expect(model("span").text("value") == "5s")
        #expect(model("choice").list("options").first { $0.flag("is_selected") }?.text("value") == "b")
        #expect(model("list").text("hint")?.hasSuffix("One per line.") == true)
        #expect(model("map").list("rows").count == 3)
        #expect(model("group").list("fields").first?.text("name") == "group.inner")
        #expect(model("reference").flag("is_choice"))
        #expect(model("secret").text("input_type") == "password")
        #expect(model("free").flag("is_text"))
    }

    @Test func flawsStandAtTheirInputs() throws {
        let values = FormValues(showing: ["env": ["PORT": "1"]], of: serviceKind.fields)
        let flaws = ["git_url": "is required", "hostnames[2]": "has a space", "env.PORT": "is set by Roost"]
        let form = FormFields(values: values, flaws: flaws)
        let models = form.models(serviceKind.fields)
        #expect(models.first { $0.text("name") == "git_url" }?.text("flaw") == "is required")
        #expect(models.first { $0.text("name") == "hostnames" }?.text("flaw") == "has an entry that has a space")
        let rows = models.first { $0.text("name") == "env" }?.list("rows") ?? []
        #expect(rows.first?.text("flaw") == "PORT is set by Roost.")
        let targets = form.errorList(serviceKind.fields).map { $0.text("target") }
        #expect(targets == ["f-env", "f-git-url", "f-hostnames"])
    }

    @Test func whatWasTypedIsKept() throws {
        let hostile = #""><script>"#
        let values = FormValues(
            sent: try FormBody(Array("git_url=\(percentEncoded(hostile))&name=x".utf8)), for: serviceKind.fields)
        let models = FormFields(values: values).models(serviceKind.fields)
        #expect(models.first { $0.text("name") == "git_url" }?.text("value") == hostile)
        let html = try PageTemplates().render("form", ["fields": .array(models), "csrf": "t"])
        #expect(!html.contains(hostile))
        #expect(html.contains("&quot;&gt;&lt;script&gt;"))
    }

    @Test func labelsAreForPeople() {
        #expect(FormFields.label("git_url") == "Git URL")
        #expect(FormFields.label("env") == "Environment")
        #expect(FormFields.label("rotate-webhook-secret") == "Rotate webhook secret")
    }
}
