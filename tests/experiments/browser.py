"""Headless Chromium, where it is installed: what a page holds, loads and offers once it is
drawn."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)

LISTENS = """<script>
window.found = {errors: [], opened: [], refused: []};
window.addEventListener("error", event => found.errors.push(String(event.message)));
window.addEventListener("unhandledrejection", event => found.errors.push(String(event.reason)));
document.addEventListener("securitypolicyviolation", event => found.refused.push(event.blockedURI));
const error = console.error; console.error = (...words) => { found.errors.push(words.join(" ")); error(...words); };
window.open = (...where) => { found.opened.push(String(where)); return null; };
</script>"""

LOOKS = """<script>
window.addEventListener("load", () => setTimeout(() => {
  const shown = element => { const box = element.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  const texts = [...document.querySelectorAll("svg text")].filter(text => shown(text) && text.textContent.trim());
  const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
  const shared = (a, b, low, high) => Math.min(a[high], b[high]) - Math.max(a[low], b[low]);
  const over = (a, b) => shared(a, b, "left", "right") > 1 && shared(a, b, "top", "bottom") > 3;
  found.overlaps = [];
  for (let i = 0; i < boxes.length; i++)
    for (let j = 0; j < i; j++)
      if (over(boxes[i][1], boxes[j][1])) found.overlaps.push([boxes[j][0], boxes[i][0]]);
  found.texts = texts.map(text => text.textContent);
  found.buttons = [...document.querySelectorAll(".modebar-btn")].map(button => button.getAttribute("data-title"));
  document.querySelectorAll(".modebar-btn:not([data-title^=Download])").forEach(button => button.click());
  found.links = [...document.querySelectorAll("a[href], form, iframe, [src]")].map(element => element.outerHTML.slice(0, 200));
  found.loaded = performance.getEntriesByType("resource").map(entry => entry.name);
  found.place = String(location.href);
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
}, 1500));
</script>"""


def look_at(page: str, folder: Path) -> dict[str, Any]:
    """Draw a page and press every button of its figures (but the one that saves a picture); what
    was found."""
    assert CHROMIUM is not None
    path = folder / "page.html"
    head, rest = page.split("<title>", 1)
    assert "Content-Security-Policy" in head
    path.write_text(
        f"{head}{LISTENS}<title>{rest.replace('</body>', LOOKS + '</body>')}", encoding="utf-8"
    )
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-unsafe-swiftshader",
        "--disable-background-networking",
    ]
    options += [
        "--window-size=1280,2400",
        "--virtual-time-budget=20000",
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
    ]
    command = [CHROMIUM, *options, path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, (done.stdout[-500:], done.stderr[-2000:])
    return json.loads(html.unescape(match[1]))
