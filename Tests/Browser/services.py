"""Stacks, services, deployments, servers: clicked through on a real hub with real builds."""
import io
import re
import tarfile

from playwright.sync_api import expect

from hub import wait_for


def sample_becomes_live(suite):
    """The overview shows the sample come up, without being loaded anew."""
    page = suite.open("/")
    suite.mark()
    for name in ("web", "api", "site"):
        row = page.locator("#live-stacks tbody tr", has=page.get_by_role("link", name=name, exact=True))
        expect(row.locator(".state")).to_have_text("running", timeout=120000)
    expect(page.locator("#live-state")).to_have_text("Live")
    suite.assert_not_reloaded()
    link = page.locator("#live-stacks tbody").get_by_role("link", name=f"127.0.0.1:{suite.hub.edge}/").first
    answer = page.request.get(link.get_attribute("href"))
    assert answer.status == 200, answer.status
    suite.shot("overview")


def service_is_made(suite):
    """A service is made with the form: errors stand beside their fields, values are kept, the secret shows once."""
    page = suite.open("/")
    page.get_by_role("link", name="Add a service to default").click()
    page.get_by_label("Name", exact=False).first.fill("shop")
    page.get_by_label("Git URL").fill("ftp://example.org/x")
    page.get_by_label("Run command").fill("python3 app.py")
    page.locator("#f-path").fill("/shop")
    page.get_by_label("Name 1").fill("SHOP_SECRET")
    page.get_by_label("Value 1").fill("hunter2-hunter2")
    page.get_by_label("secret").first.check()
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_role("alert")).to_contain_text("Some values were not accepted")
    expect(page.locator("#f-git-url")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#f-git-url-flaw")).to_contain_text("must be an https, ssh, git or file URL")
    expect(page.get_by_label("Run command")).to_have_value("python3 app.py")
    suite.shot("form-errors")
    page.get_by_role("alert").get_by_role("link", name="Git URL").click()
    assert page.evaluate("location.hash") == "#f-git-url"
    page.get_by_label("Git URL").fill(suite.kept["repository"].url)
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    expect(page.get_by_text("Create service shop")).to_be_visible()
    assert suite.hub.service("shop") is None, "a preview made a service"
    suite.shot("preview")
    page.get_by_role("button", name="Create service").click()
    expect(page.get_by_text("Shown once")).to_be_visible()
    secret = page.locator("#once-webhook_secret").text_content()
    assert len(secret) == 48, secret
    suite.shot("shown-once")
    page.get_by_role("link", name="Done, I have copied it").click()
    suite.mark()
    expect(suite.status()).to_have_text("running", timeout=90000)
    expect(page.locator("#live-reports")).to_contain_text("local")
    suite.assert_not_reloaded()
    assert secret not in page.content()
    assert "hunter2" not in page.content()
    service = suite.hub.service("shop")
    suite.kept["service"] = service["id"]
    wait_for("the shop answers", lambda: "version 1" in (suite.hub.fetch("/shop") or ""), seconds=30)
    expect(page.locator("#deploy-key-text")).to_contain_text("ssh-ed25519 ")
    expect(page.locator("#webhook-text")).to_have_text(f"{suite.hub.url}{service['webhook_path']}")


def archive_is_uploaded(suite):
    """A site without a repository: nonsense is refused in words, an archive becomes the release."""
    page = suite.open("/")
    page.get_by_role("link", name="Add a service to default").click()
    page.get_by_label("Name", exact=False).first.fill("static-site")
    page.locator("#f-kind").select_option("static")
    page.locator("#f-path").fill("/static-site")
    page.get_by_role("button", name="Create service").click()
    page.get_by_role("link", name="Done, I have copied it").click()
    expect(page.locator("#live-notice")).to_contain_text("Waiting for its first upload")
    expect(page.get_by_role("button", name="Deploy", exact=True)).to_have_count(0)
    form = page.locator("form[data-upload]")
    archive = form.get_by_label("Archive")
    archive.set_input_files({"name": "x.tar", "mimeType": "application/x-tar", "buffer": b"nonsense"})
    form.get_by_role("button", name="Upload", exact=True).click()
    expect(form.get_by_role("status")).to_contain_text("neither a tar")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as package:
        info = tarfile.TarInfo("index.html")
        info.size = 8
        package.addfile(info, io.BytesIO(b"uploaded"))
    archive.set_input_files({"name": "x.tar.gz", "mimeType": "application/gzip", "buffer": packed.getvalue()})
    form.get_by_role("button", name="Upload", exact=True).click()
    expect(form.get_by_role("status")).to_contain_text("being deployed")
    expect(suite.status()).to_have_text("running", timeout=60000)
    wait_for("the site answers", lambda: "uploaded" in (suite.hub.fetch("/static-site/") or ""), seconds=30)
    suite.shot("upload")


def log_is_live(suite):
    """What the application prints appears at once."""
    page = suite.open(f"/services/{suite.kept['service']}")
    suite.mark()
    log = page.get_by_role("log").first
    expect(log).to_contain_text("shop starts version 1")
    expect(page.locator("#live-state")).to_have_text("Live")
    suite.hub.fetch("/shop/a-special-page")
    expect(log).to_contain_text("a-special-page", timeout=15000)
    assert log.text_content().count("a-special-page") == 1
    suite.assert_not_reloaded()
    suite.shot("service")


def deploy_brings_the_newest_commit(suite):
    """Deploy builds the newest commit; its output appears while it is made."""
    page = suite.open(f"/services/{suite.kept['service']}/edit")
    rest = "for i in 2 3 4 5 6 7 8 9; do echo step $i of the build; done"
    page.get_by_label("Build command").fill(f"echo step 1 of the build; sleep 15; {rest}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(suite.status()).to_have_text("running", timeout=60000)
    suite.kept["repository"].commit("version 2")
    wait_for("the change of settings is live", lambda: suite.hub.service("shop")["status"] == "active")
    page.get_by_role("button", name="Deploy").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Deployment of shop")
    suite.mark()
    log = page.get_by_role("log")
    expect(log).to_contain_text("step 1 of the build", timeout=30000)
    assert "step 9" not in log.text_content(), "the output came only at the end"
    expect(log).to_contain_text("step 9 of the build", timeout=30000)
    suite.deployment_ends("active")
    expect(page.locator("#live-phases")).to_contain_text("building")
    suite.assert_not_reloaded()
    suite.shot("deployment")
    wait_for("version 2 is served", lambda: "version 2" in (suite.hub.fetch("/shop") or ""), seconds=15)
    page.goto(f"/services/{suite.kept['service']}")
    page.get_by_role("button", name="Deploy").click()
    expect(page.get_by_text("The newest commit is deployed already")).to_be_visible()


def failing_build_says_why(suite):
    """A build that fails says why, and the release before it goes on serving."""
    page = suite.open(f"/services/{suite.kept['service']}/edit")
    page.get_by_label("Build command").fill("echo the compiler is not amused; exit 3")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator(".diff")).to_contain_text("Build command")
    page.get_by_role("button", name="Back to the form").click()
    expect(page.get_by_label("Build command")).to_have_value("echo the compiler is not amused; exit 3")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/services/[^/]+\?done=saved"))
    suite.mark()
    expect(page.locator("#live-notice")).to_contain_text("failed", timeout=60000)
    expect(page.locator("#live-deployments tbody tr").first).to_contain_text("failed")
    suite.assert_not_reloaded()
    suite.shot("service-failed")
    page.get_by_role("link", name="Look at the deployment").click()
    suite.deployment_ends("failed")
    expect(page.locator("#live-notice")).to_contain_text("the compiler is not amused")
    expect(page.get_by_role("log")).to_contain_text("the compiler is not amused")
    suite.shot("deployment-failed")
    assert "version 2" in suite.hub.fetch("/shop")


def rollback_is_confirmed(suite):
    """Rolling back is confirmed on a page that shows what it does, and brings the old version back."""
    page = suite.open(f"/services/{suite.kept['service']}")
    rows = page.locator("#live-deployments tbody tr")
    rows.filter(has_text="created").get_by_role("link", name=re.compile("Roll back")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Roll back to commit")
    expect(page.get_by_role("heading", name="What would change")).to_be_visible()
    suite.shot("rollback")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Deployment of shop")
    suite.deployment_ends("active")
    wait_for("version 1 is served again", lambda: "version 1" in (suite.hub.fetch("/shop") or ""), seconds=15)


def secret_survives_an_edit(suite):
    """A stored secret is never shown, and stays when the form is saved without it."""
    page = suite.open(f"/services/{suite.kept['service']}/edit")
    expect(page.get_by_label("Value 1")).to_have_value("")
    expect(page.get_by_label("Value 1")).to_have_attribute("placeholder", "stored; leave empty to keep it")
    page.get_by_role("button", name="Add a row").click()
    page.get_by_label("Name 4").fill("COLOUR")
    page.get_by_label("Value 4").fill("green")
    page.get_by_label("Build command").fill("")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile("done=saved"))
    expect(suite.status()).to_have_text("running", timeout=60000)
    env = suite.hub.service("shop")["env"]
    assert env == {"COLOUR": "green", "SHOP_SECRET": {"secret": True}}, env
    wait_for("the secret is still there", lambda: "secret-length=15" in (suite.hub.fetch("/shop") or ""), seconds=30)
    page.goto(f"/services/{suite.kept['service']}/edit")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Nothing was changed")).to_be_visible()


def two_editors_do_not_overwrite(suite):
    """A form that was filled in while somebody else saved is not taken silently."""
    page = suite.open(f"/services/{suite.kept['service']}/edit")
    status, _ = suite.hub.api("PUT", f"/services/{suite.kept['service']}", {"retain": 7})
    assert status == 202, status
    page.locator("#f-path").fill("/other")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#f-path")).to_have_value("/other")
    assert suite.hub.service("shop")["path"] == "/shop"


def restart_and_events_are_live(suite):
    """A restart elsewhere shows up in the open timeline; the filters narrow it."""
    page = suite.open("/events")
    suite.mark()
    expect(page.locator("#live-state")).to_have_text("Live")
    before = page.locator("#live-events li").first.get_attribute("data-key")
    status, _ = suite.hub.api("POST", f"/services/{suite.kept['service']}/restart")
    assert status == 202, status
    wait_for("a new event appears", lambda: page.locator("#live-events li").first.get_attribute("data-key") != before,
             seconds=30)
    suite.assert_not_reloaded()
    suite.shot("events")
    page.get_by_label("Kind").select_option("run")
    page.get_by_label("Service").select_option(label="shop")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#live-events li").first).to_be_visible()
    for text in page.locator("#live-events .when span").all_text_contents():
        assert text == "run", text
    wait_for("the shop is back", lambda: suite.hub.service("shop")["status"] == "active")


def lines_are_live(suite):
    """What a service prints comes into the open list of lines, if it matches the filter."""
    page = suite.open("/logs?text=asked+for+/shop/lines")
    suite.mark()
    expect(page.locator("#live-state")).to_have_text("Live")
    expect(page.get_by_text("No line matches.")).to_be_visible()
    suite.hub.fetch("/shop/lines/one")
    line = page.locator("#live-lines li").first
    expect(line).to_contain_text("/lines/one", timeout=30_000)
    suite.hub.fetch("/shop/lines/two")
    expect(line).to_contain_text("/lines/two", timeout=30_000)
    suite.assert_not_reloaded()
    suite.shot("logs")


def server_is_added(suite):
    """Adding a server shows the one line once, and never again."""
    page = suite.open("/nodes")
    suite.shot("servers")
    page.get_by_role("link", name="Add server").click()
    page.get_by_role("button", name="Make the command").click()
    line = page.locator("#once-command").text_content()
    assert suite.hub.url in line and "rit_" in line, line
    token = re.search(r"rit_[0-9a-f]+_[0-9a-f]{64}", line).group(0)
    suite.shot("add-server")
    page.get_by_role("link", name="Done, I have copied it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Servers")
    for path in ("/nodes", "/install-tokens", "/audit-logs"):
        assert token not in suite.open(path).content(), path


def server_page_shows_the_machine(suite):
    """A server's page shows its load, memory, disk and services."""
    page = suite.open("/nodes")
    page.get_by_role("link", name="local").click()
    expect(page.locator("#live-machine")).to_contain_text("Memory")
    expect(page.locator("#live-machine")).to_contain_text("Debian")
    expect(page.locator("#live-reports")).to_contain_text("shop")
    expect(suite.status()).to_have_text("online", timeout=60000)
    suite.shot("server")


def stack_with_servers_stays(suite):
    """A stack that still has servers cannot be deleted, and the page says what to do first."""
    page = suite.open("/stacks")
    page.get_by_role("link", name="default").click()
    expect(page.get_by_text("SHA-256")).to_be_visible()
    page.locator("summary", has_text="What the servers are told to run").click()
    expect(page.locator("#desired-state")).to_contain_text("git_url")
    assert "hunter2" not in page.content()
    suite.shot("stack")
    page.get_by_role("link", name="Delete this stack").click()
    expect(page.get_by_role("alert")).to_contain_text("still has servers")
    expect(page.get_by_role("button", name=re.compile("Delete"))).to_have_count(0)


def stack_settings_are_kept(suite):
    """A stack is made, changed and deleted on pages."""
    page = suite.open("/stacks/new")
    page.get_by_label("Name").fill("second")
    page.get_by_label("SSH allow").fill("192.0.2.0/24\n2001:db8::/32")
    page.get_by_role("button", name="Create stack").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("second")
    page.get_by_role("link", name="Settings", exact=True).click()
    expect(page.get_by_label("SSH allow")).to_have_value("192.0.2.0/24\n2001:db8::/32")
    page.get_by_label("Security mode").select_option("blocked")
    page.get_by_label("Poll interval").fill("20s")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    stack = next(item for item in suite.hub.api("GET", "/stacks")[1]["items"] if item["name"] == "second")
    assert stack["security_mode"] == "blocked" and stack["poll_interval"] == "20s", stack
    page.get_by_role("link", name="Delete this stack").click()
    page.get_by_role("button", name="Delete second").click()
    expect(page.get_by_text("Deleted.")).to_be_visible()


def service_is_deleted(suite):
    """Deleting a service is confirmed with what it takes along; then it is gone."""
    page = suite.open(f"/services/{suite.kept['service']}")
    page.get_by_role("link", name="Delete this service").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete service shop?")
    expect(page.locator(".diff")).to_contain_text("Remove service shop")
    suite.shot("delete")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Delete this service").click()
    page.get_by_role("button", name="Delete shop").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("default")
    wait_for("the service is gone", lambda: suite.hub.service("shop") is None, seconds=60)
    assert page.goto(f"/services/{suite.kept['service']}").status == 404


def server_is_retired(suite):
    """A server is retired from its page, and its run is shown step by step without a reload."""
    node = suite.hub.api("GET", "/nodes")[1]["items"][0]
    page = suite.open(f"/nodes/{node['id']}")
    page.get_by_role("link", name="Retire").click()
    expect(page.get_by_text("Stop all that the server runs")).to_be_visible()
    page.get_by_role("button", name="Retire").click()
    wait_for("the run exists", lambda: suite.hub.api("GET", "/workflow-runs")[1]["items"], seconds=20)
    page = suite.open("/workflow-runs")
    page.get_by_role("link", name="retire-server").click()
    expect(page.locator("#live-steps")).to_contain_text("take its services off it")
    expect(page.locator("#live-status")).to_have_text("succeeded", timeout=60000)
    expect(page.locator("#live-steps")).to_contain_text("remove it")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    suite.shot("run")
    wait_for("the server is gone", lambda: not suite.hub.api("GET", "/nodes")[1]["items"], seconds=20)


CASES = [sample_becomes_live, service_is_made, archive_is_uploaded, log_is_live, deploy_brings_the_newest_commit, failing_build_says_why,
         rollback_is_confirmed, secret_survives_an_edit, two_editors_do_not_overwrite, restart_and_events_are_live,
         lines_are_live, server_is_added, server_page_shows_the_machine, stack_with_servers_stays, stack_settings_are_kept]
LAST_CASES = [service_is_deleted, server_is_retired]
