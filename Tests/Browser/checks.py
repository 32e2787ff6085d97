"""Checks that hold for every page: width, names, contrast, ids, console."""

CONTRAST = """
() => {
  const parse = (text) => {
    const numbers = (text.match(/-?[\\d.]+(e-?\\d+)?/g) || []).map(Number);
    if (text.startsWith("color(srgb")) return [numbers[0] * 255, numbers[1] * 255, numbers[2] * 255, numbers[3] ?? 1];
    return [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = (color) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const part = color.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const ground = (element) => {
    const layers = [];
    for (let node = element; node; node = node.parentElement) {
      layers.push(parse(getComputedStyle(node).backgroundColor));
    }
    const base = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1];
    return layers.reverse().reduce((under, layer) => over(layer, under), base);
  };
  const found = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ checkVisibilityCSS: true })) continue;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (box.width <= 2 || box.height <= 2 || element.closest("svg, script, style, option")) continue;
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const back = ground(element);
    const value = ratio(over(parse(style.color), back), back);
    const text = walker.currentNode.data.trim().slice(0, 40);
    if (value < needed) found.set(element.className + "|" + text, value.toFixed(2));
  }
  for (const field of document.querySelectorAll("input[placeholder], textarea[placeholder]")) {
    if (!field.checkVisibility() || !field.placeholder) continue;
    const back = ground(field);
    const value = ratio(over(parse(getComputedStyle(field, "::placeholder").color), back), back);
    if (value < 4.5) found.set("placeholder " + field.placeholder, value.toFixed(2));
  }
  return Array.from(found).map(([what, value]) => what + " has " + value);
}
"""

OVERFLOW = """
() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return Array.from(document.querySelectorAll("body *"))
    .filter((element) => element.getBoundingClientRect().right > width + 1)
    .slice(0, 5).map((element) => element.tagName + "." + element.className);
}
"""

STRUCTURE = """
() => {
  const flaws = [];
  const ids = Array.from(document.querySelectorAll("[id]")).map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) flaws.push("id twice: " + id);
  for (const name of ["for", "aria-describedby", "aria-labelledby"]) {
    for (const element of document.querySelectorAll("[" + name + "]")) {
      for (const id of element.getAttribute(name).split(/\\s+/)) {
        if (id && !document.getElementById(id)) flaws.push(name + " leads nowhere: " + id);
      }
    }
  }
  if (document.querySelectorAll("h1").length !== 1) flaws.push("not exactly one h1");
  if (document.querySelectorAll("main").length !== 1) flaws.push("not exactly one main");
  if (!document.documentElement.lang) flaws.push("no language");
  const styled = document.querySelector("[style]");
  if (styled) flaws.push("an inline style: " + styled.outerHTML.slice(0, 80));
  if (document.body.textContent.includes("{{")) flaws.push("an unrendered template");
  for (const link of document.querySelectorAll('a[href=""], a[href="#"]')) {
    flaws.push("an empty link: " + link.textContent);
  }
  return flaws;
}
"""

NAMED_ROLES = {
    "button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "spinbutton", "navigation", "log",
    "region", "table", "DisclosureTriangle", "img", "image",
}


def unnamed(page):
    """Roles of controls and landmarks that a screen reader could not name."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    flaws = []
    for node in nodes:
        role = node.get("role", {}).get("value")
        if node.get("ignored") or role not in NAMED_ROLES:
            continue
        if not node.get("name", {}).get("value", "").strip():
            flaws.append(f"{role} without a name ({node.get('backendDOMNodeId')})")
    return flaws


def flaws_of(page):
    """Everything that is wrong with the page as it stands."""
    flaws = [f"wider than the screen: {what}" for what in page.evaluate(OVERFLOW)]
    flaws += [f"low contrast: {what}" for what in page.evaluate(CONTRAST)]
    flaws += page.evaluate(STRUCTURE)
    flaws += unnamed(page)
    return flaws


class Console:
    """Collects what a browser complains about."""

    def __init__(self):
        self.complaints = []
        # While the hub is away on purpose, failed connections are no complaint.
        self.is_hub_away = False

    def watch(self, context):
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " console.error('CSP: ' + event.violatedDirective + ' ' + event.blockedURI));")
        context.on("console", self.note)
        context.on("weberror", lambda error: self.complaints.append(f"exception: {error.error}"))

    def note(self, message):
        if message.type not in ("error", "warning"):
            return
        text = message.text
        if "Failed to load resource" in text:
            # Pages that are refused or missing on purpose; scripts and styles are checked by what they do.
            if self.is_hub_away or any(f"status of {code}" in text for code in (400, 401, 403, 404, 409, 412, 429)):
                return
        if self.is_hub_away and "ERR_" in text:
            return
        self.complaints.append(f"{message.type}: {text} ({message.location.get('url', '')})")
