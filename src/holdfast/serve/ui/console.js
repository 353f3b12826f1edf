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

  // -- the histogram: a stretch of time drawn out by pointer, or by the two sliders --------------

  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  const zoned = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19) + "Z";

  function brush(figure) {
    const plot = one(".plot", figure), svg = one("svg", plot), rect = one(".brush", svg);
    const bar = one(".brushbar", figure), [low, high] = all("[data-end]", figure);
    const from = +plot.dataset.from, to = +plot.dataset.to, step = +plot.dataset.step;
    const counts = plot.dataset.counts.split(",").map(Number);
    let begun = null, dragged = false;
    low.value = from; high.value = to;

    function show(a, b) {
      [a, b] = [Math.min(a, b), Math.max(a, b)];
      b = Math.max(b, a + step);
      const count = counts.slice((a - from) / step, (b - from) / step).reduce((x, y) => x + y, 0);
      rect.setAttribute("x", `${(a - from) / (to - from) * 100}%`);
      rect.setAttribute("width", `${(b - a) / (to - from) * 100}%`);
      rect.removeAttribute("hidden");
      bar.hidden = false;
      low.value = a; high.value = b;
      low.setAttribute("aria-valuetext", `${clock(a)} UTC`);
      high.setAttribute("aria-valuetext", `${clock(b)} UTC`);
      const events = `${count.toLocaleString("en")} event${count === 1 ? "" : "s"}`;
      one("output", bar).textContent = `${clock(a)} to ${clock(b)} UTC, ${events}`;
      const url = new URL(figure.dataset.base, location.href);
      url.searchParams.set("from", zoned(a));
      url.searchParams.set("to", zoned(b));
      one("a", bar).href = url.href;
    }
    function clear() { rect.setAttribute("hidden", ""); bar.hidden = true; }
    function at(event) {
      const box = svg.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return from + Math.round(share * (to - from) / step) * step;
    }
    plot.addEventListener("pointerdown", (event) => {
      if (event.button === 0) { begun = at(event); dragged = false; }
    });
    plot.addEventListener("pointermove", (event) => {
      if (begun !== null && at(event) !== begun) { dragged = true; show(begun, at(event)); }
    });
    document.addEventListener("pointerup", () => { begun = null; });
    plot.addEventListener("dragstart", (event) => event.preventDefault());
    plot.addEventListener("click", (event) => { if (dragged) event.preventDefault(); });
    [low, high].forEach((end) => end.addEventListener("input", () => show(+low.value, +high.value)));
    one("[data-clear]", bar).addEventListener("click", clear);
    document.addEventListener("holdfast:clear", clear);
  }

  // -- counts that were late: they are put into the page when they are there ----------------------

  async function fetchLate(part) {
    try {
      const answer = await fetch(part.dataset.late, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      ["#hist", "#facets"].forEach((id) => {
        const here = one(id), there = one(id, page);
        if (here && there) here.replaceWith(document.adoptNode(there));
      });
      all(".hist[data-base]").forEach(brush);
    } catch { /* the page says that it was not counted, and has a link */ }
  }

  // -- live tail: events above a line that says how far all is known ------------------------------

  const TAIL_ROWS_MAX = 200;
  let source = null;

  // As the server does: what is read must be what is there, so what is not seen is written out.
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
  const plain = (text) => String(text || "").replace(
    UNSEEN, (one) => `«U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}»`);

  function cell(row, css, text, title) {
    const td = row.appendChild(document.createElement("td"));
    td.className = css;
    td.textContent = plain(text).slice(0, 160);
    if (title || text) td.title = plain(title || text).slice(0, 160);
    return td;
  }

  const columns = () => all(".res thead th").length;  // without the tenants', if none has one

  function rowOf(event) {
    const row = document.createElement("tr");
    const name = (party) => (party && (party.name || party.id || party.type)) || "";
    const sent = event.time || event.received, read = new Date(sent);
    const time = isNaN(read) ? sent : read.toISOString();  // a leap second is no date here
    cell(row, "d-x", "");
    const link = document.createElement("a");
    link.href = `/events/${encodeURIComponent(event.id)}?node=${event.node}&position=${event.position}`;
    link.textContent = time.slice(11, 23);
    link.dataset.open = "";
    cell(row, "d-t m", "", event.time || event.received).append(link);
    const outcome = document.createElement("span");
    outcome.className = `oc ${{ denied: "den", failure: "fail" }[event.outcome] || ""}`;
    outcome.textContent = event.outcome || "none sent";
    cell(row, "d-o", "").append(outcome);
    cell(row, "d-w", name(event.actor));
    cell(row, "d-a m", event.action);
    cell(row, "d-g m", (event.targets || []).map(name).join(", "));
    cell(row, "d-ip m", event.source && event.source.ip);
    if (columns() > 7) cell(row, "d-te", event.tenant);
    return row;
  }

  function tail(button) {
    const body = one(".res tbody");
    if (source || !body) {
      if (source) source.close();
      source = null;
      button.setAttribute("aria-pressed", "false");
      if (!body) location.reload();
      return;
    }
    button.setAttribute("aria-pressed", "true");
    const line = document.createElement("tr"), said = document.createElement("td");
    line.className = "open wm";
    said.colSpan = columns();
    said.textContent = "Waiting for what comes from now on.";
    line.append(said);
    body.prepend(line);
    source = new EventSource(button.dataset.tail);
    source.addEventListener("completeness", (message) => {
      const through = JSON.parse(message.data).complete_through;
      said.textContent = through
        ? `Complete through ${through.slice(11, 19)} below this line. Above it, earlier events may still arrive.`
        : "How far this is complete is not known.";
    });
    source.addEventListener("message", (message) => {
      body.prepend(rowOf(JSON.parse(message.data)));
      const live = all("tr", body).indexOf(line);
      if (live > TAIL_ROWS_MAX) line.previousElementSibling.remove();
    });
    source.addEventListener("problem", (message) => {
      said.textContent = `The tail ended: ${JSON.parse(message.data).detail}`;
    });
  }

  // -- an empty trail: the page turns into the search when the first event arrives ----------------

  function awaitFirst() {
    const first = new EventSource("/v1/tail");
    first.addEventListener("message", () => { first.close(); location.reload(); });
  }

  // -- a verification: progress while it runs, and at last what it came to ------------------------

  function verify(form) {
    const old = one(".vrun");
    if (old) old.remove();
    const run = form.parentElement.appendChild(document.createElement("div"));
    run.className = "vrun mt";
    const bar = run.appendChild(document.createElement("progress"));
    bar.setAttribute("aria-label", "Verification");
    const line = run.appendChild(document.createElement("p"));
    line.setAttribute("role", "status");
    line.className = "dim";
    const stop = run.appendChild(document.createElement("button"));
    stop.className = "b";
    stop.type = "button";
    stop.textContent = "Stop";
    const query = new URLSearchParams(new FormData(form));
    const coming = new EventSource(`${form.action}?${query}`);
    const end = () => { coming.close(); [bar, stop].forEach((part) => part.remove()); };
    stop.addEventListener("click", () => { end(); line.textContent = "Stopped: no verdict."; });
    coming.addEventListener("progress", (message) => {
      const { done, total, words } = JSON.parse(message.data);
      line.textContent = words;
      if (total) { bar.max = total; bar.value = done; }
    });
    coming.addEventListener("done", (message) => {
      end();
      line.remove();
      const page = new DOMParser().parseFromString(JSON.parse(message.data), "text/html");
      run.append(...[...page.body.children].map((part) => document.adoptNode(part)));
    });
    coming.onerror = () => { end(); line.textContent = "The server did not answer to the end: no verdict."; };
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
    const line = event.target.closest(".res tbody tr:not(.open)");
    if (line && !button && !event.target.closest("a") && !String(getSelection())) toggleRow(line);
    if (!button) return;
    if (button.matches("[data-copy]")) copy(button);
    else if (button.matches("[data-print]")) print();
    else if (button.matches("[data-theme-toggle]")) toggleTheme();
    else if (button.matches("[data-tail]")) tail(button);
    else if (button.matches("[data-keys]")) one("#keys").showModal();
  });

  // Backspace in the empty box takes the last filter back into it, to be changed.
  function editable(box) {
    box.addEventListener("keydown", (event) => {
      const chip = all(".chip", box.parentElement).pop();
      if (event.key !== "Backspace" || box.value || !chip) return;
      event.preventDefault();
      const text = chip.textContent.replace(/×$/, ""), kept = one("[name=kept]", box.form);
      box.value = text.startsWith("text:") ? text.slice(5) : text;
      const rest = new URL(one("a", chip).href).searchParams.get("q") || "";
      if (kept) kept.value = rest;
      chip.remove();
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    all(".hist[data-base]").forEach(brush);
    all("[data-late]").slice(0, 1).forEach(fetchLate);
    if (one("#q")) editable(one("#q"));
    if (one("[data-first]")) awaitFirst();
    all("form[data-verify]").forEach((form) => form.addEventListener("submit", (event) => {
      event.preventDefault();
      verify(form);
    }));
  });
})();
