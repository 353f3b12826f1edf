// The console: comfort only. Every page reads without this file.
"use strict";
(() => {
  const root = document.documentElement;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  root.classList.add("js");

  // -- light and dark: what is chosen here lasts, where the browser keeps it ---------------------

  const kept = {
    get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
    set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* this page only */ } },
  };
  const theme = kept.get("holdfast-theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  function toggleTheme() {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    kept.set("holdfast-theme", root.dataset.theme);
  }

  function say(text) {
    const toast = one(".toast") || document.body.appendChild(document.createElement("div"));
    toast.className = "toast";
    toast.setAttribute("role", "status");
    toast.textContent = text;
    clearTimeout(say.timer);
    say.timer = setTimeout(() => toast.remove(), 1800);
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(one("pre", button.closest(".cmd")).textContent);
      say("Copied");
    } catch {
      say("The browser refused to copy");
    }
  }

  // -- rows: without the script a row opens as the target of its link, one at a time --------------

  const lines = () => all(".res tbody tr:not(.open)");
  const current = () => one(".res tr.cur");

  function toggleRow(line) {
    const row = line && line.nextElementSibling;
    if (!row || !row.matches(".open")) return;
    const opens = !(row.matches(".is-open") || (row.matches(":target") && !row.matches(".is-shut")));
    row.classList.toggle("is-open", opens);
    row.classList.toggle("is-shut", !opens);
    one(".xb", line).setAttribute("aria-expanded", String(opens));
  }

  function move(by) {
    const rows = lines();
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.matches(".cur"));
    if (at >= 0) rows[at].classList.remove("cur");
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
    next.classList.add("cur");
    next.scrollIntoView({ block: "nearest" });
    const link = one("a", next);
    if (link) link.focus({ preventScroll: true });
  }

  // -- keys and clicks ---------------------------------------------------------------------------

  let going = false;

  function escape(typing, target) {
    all("details.menu[open]").forEach((menu) => { menu.open = false; one("summary", menu).focus(); });
    document.dispatchEvent(new CustomEvent("holdfast:clear"));
    if (typing) target.blur();
  }

  const actions = {
    "/": () => one("#q") && one("#q").focus(),
    j: () => move(1),
    k: () => move(-1),
    x: () => toggleRow(current()),
    o: () => { const link = current() && one("[data-open]", current()); if (link) link.click(); },
    l: () => { const button = one("[data-tail]"); if (button) button.click(); },
    t: toggleTheme,
    "?": () => { const keys = one("#keys"); if (keys) keys.showModal(); },
    g: () => { going = true; setTimeout(() => { going = false; }, 1200); },
  };

  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return escape(typing, event.target);
    if (typing) return;
    if (going) {
      going = false;
      const place = all(".nav a").find((link) => link.dataset.key === event.key);
      if (place) location.href = place.href;
      return;
    }
    const action = actions[event.key];
    if (action) { event.preventDefault(); action(); }
  });

  document.addEventListener("click", (event) => {
    all("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
    const opener = event.target.closest(".xb");
    if (opener) { event.preventDefault(); toggleRow(opener.closest("tr")); return; }
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches("[data-copy]")) copy(button);
    else if (button.matches("[data-theme-toggle]")) toggleTheme();
    else if (button.matches("[data-keys]")) one("#keys").showModal();
  });
})();
