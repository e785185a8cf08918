// What the pages do beyond plain HTML: copying, shortening in place, the list of recent links.
// Every text reaches the page as a text node, never as markup.
"use strict";

(() => {
  const RECENT_KEY = "urlshort.recent";
  const RECENT_MAX = 20;
  const CODE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
  const byId = (id) => document.getElementById(id);

  const announce = (text) => {
    const place = byId("announce");
    if (place) place.textContent = text;
  };

  // ---- Copying ----

  const copyByHand = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    area.setAttribute("readonly", "");
    area.className = "unseen";
    document.body.append(area);
    area.select();
    let done = false;
    try {
      done = document.execCommand("copy");
    } catch {
      done = false;
    }
    area.remove();
    return done;
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // No permission, or the page is not on https: the old way may still work.
      return copyByHand(text);
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const done = await copy(button.dataset.copy);
    const label = button.dataset.label || button.textContent;
    button.dataset.label = label;
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    button.classList.toggle("is-done", done);
    announce(done ? `Copied ${button.dataset.copy}` : "Could not copy");
    clearTimeout(Number(button.dataset.timer));
    button.dataset.timer = setTimeout(() => {
      button.textContent = label;
      button.classList.remove("is-done");
    }, 1800);
    button.focus();
  });

  for (const button of document.querySelectorAll("button[data-copy][hidden]")) {
    button.hidden = false;
  }

  // ---- Recent links, in this browser alone ----

  const isEntry = (entry) =>
    entry && CODE.test(entry.code) && typeof entry.short === "string" && typeof entry.long === "string";

  const recent = () => {
    try {
      const entries = JSON.parse(localStorage.getItem(RECENT_KEY) || "[]");
      return Array.isArray(entries) ? entries.filter(isEntry).slice(0, RECENT_MAX) : [];
    } catch {
      return [];
    }
  };

  const keep = (entries) => {
    try {
      localStorage.setItem(RECENT_KEY, JSON.stringify(entries.slice(0, RECENT_MAX)));
    } catch {
      // Storage is full or forbidden: the list is a comfort, not a promise.
    }
  };

  const remember = (link) => {
    const entry = { code: link.code, short: link.short_url, long: link.long_url };
    if (isEntry(entry)) keep([entry, ...recent().filter((old) => old.code !== entry.code)]);
  };

  const withoutScheme = (url) => url.replace(/^https?:\/\//, "");

  const fill = (root, entry) => {
    const short = root.querySelector("[data-short]");
    short.textContent = withoutScheme(entry.short);
    short.href = `/${entry.code}`;
    root.querySelector("[data-long]").textContent = entry.long;
    root.querySelector("[data-stats]").href = `/links/${entry.code}`;
    root.querySelector("[data-copy]").dataset.copy = entry.short;
  };

  const showRecent = () => {
    const section = byId("recent");
    if (!section) return;
    const entries = recent();
    section.hidden = entries.length === 0;
    const items = entries.map((entry) => {
      const item = byId("recent-template").content.cloneNode(true);
      fill(item, entry);
      item.querySelector("[data-copy]").setAttribute("aria-label", `Copy ${entry.short}`);
      item.querySelector("[data-stats]").setAttribute("aria-label", `Statistics of ${entry.short}`);
      return item;
    });
    byId("recent-list").replaceChildren(...items);
  };

  byId("recent-clear")?.addEventListener("click", () => {
    keep([]);
    showRecent();
    announce("The list is cleared");
    byId("long_url").focus();
  });

  const made = document.querySelector("[data-remember]");
  if (made) {
    const { code, shortUrl, longUrl } = made.dataset;
    remember({ code, short_url: shortUrl, long_url: longUrl });
  }
  showRecent();
  addEventListener("storage", showRecent);
  addEventListener("pageshow", showRecent);

  // ---- Shortening in place ----

  const form = byId("shorten");
  if (!form) return;
  const fields = ["long_url", "code"];

  const complain = (field, message) => {
    const known = fields.includes(field);
    byId(known ? `${field}-error` : "form-error").textContent = message;
    if (!known) return;
    const input = byId(field);
    input.closest("details")?.setAttribute("open", "");
    input.setAttribute("aria-invalid", "true");
    input.closest(".field").classList.add("is-wrong");
    input.focus();
  };

  const forgive = (field) => {
    byId(`${field}-error`).textContent = "";
    byId(field).removeAttribute("aria-invalid");
    byId(field).closest(".field").classList.remove("is-wrong");
  };

  const refused = async (response) => {
    const problem = await response.json().catch(() => ({}));
    const known = (problem.errors || []).filter((error) => fields.includes(fieldOf(error)));
    if (known.length > 0) {
      // In reverse, so that the focus ends on the first.
      for (const error of known.reverse()) complain(fieldOf(error), error.detail || problem.detail || "");
    } else if (problem.code === "code_taken") {
      complain("code", problem.detail || "This name is taken.");
    } else if (problem.code === "url_blocked") {
      complain("long_url", problem.detail || "This link may not be shortened.");
    } else {
      const seconds = response.headers.get("Retry-After");
      const wait = seconds ? ` Try again in ${seconds} s.` : "";
      complain("", (problem.detail || problem.title || `The server answered ${response.status}.`) + wait);
    }
  };

  const fieldOf = (error) => String(error.pointer || "").replace(/^#?\//, "");

  const show = (link) => {
    const card = byId("result-template").content.cloneNode(true);
    fill(card, { code: link.code, short: link.short_url, long: link.long_url });
    card.querySelector("[data-preview]").href = `/${link.code}+`;
    const image = card.querySelector("[data-qr]");
    image.src = `/${link.code}/qr.svg`;
    image.alt = `QR code of ${link.short_url}`;
    const result = byId("result");
    result.replaceChildren(card);
    result.hidden = false;
    result.querySelector("[data-copy]").focus({ preventScroll: true });
    result.scrollIntoView({ block: "nearest" });
  };

  // `example.org/x` is meant as https; anything with a scheme is left to the server.
  const completed = (text) => (/^[^\s:/?#@]+\.[^\s:/?#@]+(:\d+)?([/?#]|$)/.test(text) ? `https://${text}` : text);

  for (const field of fields) byId(field).addEventListener("input", () => forgive(field));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    for (const field of fields) forgive(field);
    byId("form-error").textContent = "";
    const long_url = completed(byId("long_url").value.trim());
    const code = byId("code").value.trim();
    if (!long_url) return complain("long_url", "Paste a link first.");
    const button = byId("submit");
    button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      const response = await fetch("/api/v1/links", {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(code ? { long_url, code } : { long_url }),
      });
      if (!response.ok) return await refused(response);
      const link = await response.json();
      remember(link);
      form.reset();
      show(link);
      showRecent();
    } catch {
      complain("", "The server cannot be reached. Check the connection and try again.");
    } finally {
      button.disabled = false;
      form.removeAttribute("aria-busy");
    }
  });
})();
