/// The script of every page. Pages can be read and forms sent without it; it adds what is live.
let pageScript = #"""
    "use strict";
    (() => {
      const root = document.documentElement;
      const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));

      // Times: "3 min ago", exact in the title.
      const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
      function relative(seconds) {
        const span = Math.abs(seconds);
        if (span < 5) return "just now";
        const [size, unit] = units.find(([size]) => span >= size) || units[3];
        const text = Math.floor(span / size) + " " + unit;
        return seconds >= 0 ? text + " ago" : "in " + text;
      }
      let skew = 0;
      function tick(from = document) {
        for (const element of all("time[datetime]", from)) {
          const time = Date.parse(element.dateTime);
          if (Number.isNaN(time)) continue;
          const text = relative((Date.now() + skew - time) / 1000);
          if (element.textContent !== text) element.textContent = text;
        }
      }
      // Browsers that cannot show the content of closed details as a side bar get it open.
      if (!CSS.supports("selector(::details-content)") && innerWidth > 900) {
        document.getElementById("menu")?.setAttribute("open", "");
      }
      const served = Date.parse(document.body.dataset.now || "");
      if (!Number.isNaN(served) && Math.abs(served - Date.now()) > 5000) skew = served - Date.now();
      setInterval(tick, 5000);

      // Fragments: parts of the page that are fetched again when something that they show has changed.
      const waiting = new Set();
      let fetching = false, timer = 0;
      function ask(kinds) {
        for (const kind of kinds) waiting.add(kind);
        if (!timer) timer = setTimeout(refresh, 150);
      }
      function busy(fragment) {
        const active = document.activeElement;
        return fragment.contains(active) && active.matches("input, textarea, select");
      }
      function swap(old, next) {
        if (old.innerHTML === next.innerHTML) return;
        const focus = old.contains(document.activeElement) ? document.activeElement : null;
        const path = focus && (focus.id ? "#" + CSS.escape(focus.id)
          : focus.matches("a[href]") ? 'a[href="' + CSS.escape(focus.getAttribute("href")) + '"]'
          : focus.matches("summary") ? "summary" : null);
        const open = all("details[open][id]", old).map((element) => element.id);
        const known = new Set(all("[data-key]", old).map((element) => element.dataset.key));
        const kept = new Map(all("[data-log]", old).map((element) => [element.dataset.log, element]));
        old.replaceChildren(...Array.from(document.importNode(next, true).childNodes));
        for (const element of all("[data-log]", old)) {
          const before = kept.get(element.dataset.log);
          if (before) {
            const top = before.scrollTop;
            element.replaceWith(before);
            before.scrollTop = top;
          }
        }
        for (const id of open) document.getElementById(id)?.setAttribute("open", "");
        for (const element of all("[data-key]", old)) {
          if (known.size && !known.has(element.dataset.key)) element.classList.add("fresh");
        }
        if (path) old.querySelector(path)?.focus({ preventScroll: true });
        tick(old);
        setUpLogs(old);
      }
      async function refresh() {
        timer = 0;
        if (fetching) { timer = setTimeout(refresh, 300); return; }
        const kinds = new Set(waiting);
        waiting.clear();
        const wanted = all("[data-live]").filter((element) =>
          kinds.has("*") || element.dataset.live.split(" ").some((kind) => kinds.has(kind)));
        if (!wanted.length) return;
        fetching = true;
        try {
          const answer = await fetch(location.href, {
            headers: { "X-Roost-Fragment": "1" }, credentials: "same-origin", redirect: "error",
            signal: AbortSignal.timeout(15000),
          });
          if (answer.status === 404) { location.reload(); return; }
          if (!answer.ok) throw new Error("status " + answer.status);
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          for (const fragment of wanted) {
            const next = page.getElementById(fragment.id);
            if (next && !busy(fragment)) swap(fragment, next);
          }
        } catch (error) {
          if (!timer) { for (const kind of kinds) waiting.add(kind); timer = setTimeout(refresh, 3000); }
        } finally {
          fetching = false;
        }
      }

      // Logs: appended from where the text ends.
      const textMax = 400000;
      const logs = new Map();
      function atEnd(log) { return log.scrollHeight - log.scrollTop - log.clientHeight < 40; }
      function setUpLogs(from) {
        for (const log of all("[data-log]", from)) {
          if (logs.has(log)) continue;
          logs.set(log, { offset: Number(log.dataset.offset) || 0, running: false, again: false });
          log.scrollTop = log.scrollHeight;
        }
        for (const log of logs.keys()) if (!log.isConnected) logs.delete(log);
      }
      async function follow(log) {
        const state = logs.get(log);
        if (!state) return;
        if (state.running) { state.again = true; return; }
        state.running = true;
        try {
          for (let round = 0; round < 16; round += 1) {
            state.again = false;
            const answer = await fetch(log.dataset.log + "&offset=" + state.offset, {
              credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(15000),
            });
            if (!answer.ok) return;
            const part = await answer.json();
            if (part.text) {
              const stay = !atEnd(log);
              if (part.offset > state.offset) log.append("\n[older output was dropped]\n");
              log.append(part.text);
              while (log.textContent.length > textMax && log.firstChild) {
                if (log.childNodes.length > 1) log.firstChild.remove();
                else log.textContent = log.textContent.slice(-textMax / 2);
              }
              if (!stay) log.scrollTop = log.scrollHeight;
            }
            const moved = part.end > state.offset;
            state.offset = Math.max(part.end, state.offset);
            if (!moved && !state.again) return;
          }
        } catch (error) {
          // The next change, or the next connection, asks again.
        } finally {
          state.running = false;
        }
      }

      // The stream that says what has changed.
      function connect() {
        const topics = document.body.dataset.topics;
        if (!topics || !window.EventSource) return;
        const shown = document.getElementById("live-state");
        const say = (state, text) => {
          if (!shown || shown.dataset.state === state) return;
          shown.dataset.state = state;
          shown.textContent = text;
        };
        let source, pause = 1000, again = 0;
        function open() {
          again = 0;
          source?.close();
          source = new EventSource("/live?topics=" + encodeURIComponent(topics));
          source.addEventListener("open", () => {
            pause = 1000;
            say("live", "Live");
            // What changed between the answer to the page, or the end of the stream before, and now.
            ask(["*"]);
            for (const log of logs.keys()) follow(log);
          });
          source.addEventListener("change", (event) => {
            const change = JSON.parse(event.data);
            ask(change.logs.length ? [...change.kinds, "log"] : change.kinds);
            for (const log of logs.keys()) {
              if (change.logs.includes(log.dataset.id)) follow(log);
            }
          });
          source.addEventListener("error", () => {
            source.close();
            say("lost", "Reconnecting…");
            if (!again) again = setTimeout(open, pause);
            pause = Math.min(pause * 2, 15000);
          });
        }
        open();
        // Browsers allow few connections to one server: a page that nobody looks at gives its own back.
        document.addEventListener("visibilitychange", () => {
          clearTimeout(again);
          source.close();
          if (document.hidden) say("paused", "Paused"); else open();
        });
        window.addEventListener("pagehide", () => { clearTimeout(again); source.close(); });
        window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
      }

      // Keyboard: "/" goes to the search, Escape leaves it.
      document.addEventListener("keydown", (event) => {
        const field = document.getElementById("find");
        if (!field || event.ctrlKey || event.metaKey || event.altKey) return;
        const typing = event.target.closest("input, textarea, select, [contenteditable]");
        if (event.key === "/" && !typing) {
          document.getElementById("menu")?.setAttribute("open", "");
          event.preventDefault();
          field.focus();
          field.select();
        } else if (event.key === "Escape" && event.target === field) {
          field.blur();
        }
      });

      document.addEventListener("click", async (event) => {
        const copy = event.target.closest("[data-copy]");
        if (copy) {
          const text = document.getElementById(copy.dataset.copy)?.textContent || "";
          try {
            await navigator.clipboard.writeText(text);
            copy.textContent = "Copied";
          } catch (error) {
            getSelection().selectAllChildren(document.getElementById(copy.dataset.copy));
            copy.textContent = "Press Ctrl+C";
          }
          return;
        }
        const add = event.target.closest("[data-add-row]");
        if (add) {
          const rows = document.getElementById(add.dataset.addRow);
          const last = rows.lastElementChild;
          const next = last.cloneNode(true);
          const number = rows.childElementCount;
          for (const element of all("[name], [id], [for]", next)) {
            for (const name of ["name", "id", "for", "aria-label"]) {
              const value = element.getAttribute(name);
              const next = name === "aria-label" ? number + 1 : number;
              if (value) element.setAttribute(name, value.replace(/\d+(?=\D*$)/, next));
            }
            if (element.matches("input[type=checkbox]")) element.checked = false;
            else if (element.matches("input, textarea")) element.value = "";
          }
          rows.append(next);
          next.querySelector("input, textarea")?.focus();
        }
      });
      for (const button of all("[data-add-row], [data-copy]")) button.hidden = false;

      // An archive goes to the API as it is, with what was sent so far.
      for (const form of all("form[data-upload]")) {
        form.hidden = false;
        const says = form.querySelector("[role=status]"), button = form.querySelector("button");
        form.addEventListener("submit", (event) => {
          event.preventDefault();
          event.stopPropagation();
          const file = form.elements.archive.files[0];
          if (!file) return;
          const request = new XMLHttpRequest();
          request.open("PUT", form.dataset.upload);
          request.setRequestHeader("X-CSRF-Token", form.dataset.csrf);
          request.setRequestHeader("Content-Type", "application/octet-stream");
          request.upload.onprogress = (progress) => {
            says.textContent = "Sent " + Math.floor(100 * progress.loaded / Math.max(1, progress.total)) + " %";
          };
          request.onload = () => {
            let answer = {};
            try { answer = JSON.parse(request.responseText); } catch (error) { answer = {}; }
            button.disabled = false;
            says.textContent = request.status === 202 ? "It is being deployed."
              : answer.error || "The hub answered with status " + request.status + ".";
            if (request.status === 202) form.reset();
          };
          request.onerror = () => { button.disabled = false; says.textContent = "The upload was broken off."; };
          button.disabled = true;
          request.send(file);
        });
      }

      // The theme, at once; the form's answer keeps it.
      document.addEventListener("submit", async (event) => {
        const form = event.target;
        if (form.dataset.theme !== undefined && event.submitter) {
          event.preventDefault();
          const order = ["auto", "light", "dark"];
          const next = event.submitter.value;
          const body = new URLSearchParams(new FormData(form));
          body.set("theme", next);
          await fetch(form.action, { method: "POST", body, credentials: "same-origin", redirect: "manual" });
          if (next === "auto") delete root.dataset.theme; else root.dataset.theme = next;
          event.submitter.value = order[(order.indexOf(next) + 1) % order.length];
          event.submitter.querySelector("span").textContent = "Theme: " + next;
          return;
        }
        // A second press must not send twice; Back brings the page with its buttons as they were.
        if (form.method === "post") setTimeout(() => all("button", form).forEach((button) => { button.disabled = true; }));
      });
      window.addEventListener("pageshow", () => all("form button").forEach((button) => { button.disabled = false; }));

      tick();
      setUpLogs(document);
      connect();
    })();
    """#
