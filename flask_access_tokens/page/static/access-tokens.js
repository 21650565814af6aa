/* What the page of access tokens does more where script runs. Included twice, it runs once. */
(() => {
  "use strict";

  if (window.accessTokensScript) {
    return;
  }
  window.accessTokensScript = true;

  const LOOKS_EVERY = 3000;
  const LOOKS_FOR = 10 * 60 * 1000;
  const RETRY_AFTER = 5000;
  const { nonce, dataset: settings } = document.currentScript;

  let current = null; // the panel that was prepared last
  let home = null; // what it stands in, which stays when a panel is replaced
  let returnTo = []; // ids to focus when the list comes back
  let focusedId = ""; // of what had the focus when a request began: htmx gives it back
  let copied = true; // false while a secret is shown that nobody has copied

  const panelNow = () => document.getElementById("access-tokens");
  const ours = (element) => element instanceof Element && element.closest("#access-tokens");
  const text = (name) => panelNow()?.closest(".access-tokens")?.dataset[name] ?? "";

  function say(words) {
    const region = document.querySelector("[data-access-tokens-said]");
    if (region) {
      region.textContent = "";
      // Emptied first, so that the same words are spoken a second time.
      setTimeout(() => (region.textContent = words), 50);
    }
  }

  // A panel that has just come: with the page, or in place of another

  function prepare() {
    const panel = panelNow();
    if (!panel || panel === current) {
      return;
    }
    const swapped = home !== null && home === panel.parentElement;
    home = panel.parentElement;
    current = panel;
    panel.querySelectorAll("[data-with-script]").forEach((element) => (element.hidden = false));
    panel.querySelectorAll("time[title], time[data-exact]").forEach(addLocalTime);
    watchSecret(panel);
    markChoices(panel);
    waitForUse(panel);
    if (swapped) {
      keepAddress(panel);
      // After htmx, which gives the focus back to what had it.
      setTimeout(() => arrive(panel), 30);
    }
  }

  function arrive(panel) {
    if (panel !== panelNow()) {
      return;
    }
    const wanted = panel.querySelector("[autofocus]");
    const active = document.activeElement;
    if (wanted) {
      if (!panel.contains(active) || (focusedId && active.id === focusedId)) {
        wanted.focus();
      }
    } else if (returnTo.length || !panel.contains(active)) {
      const target = returnTo.map((id) => document.getElementById(id)).find(Boolean);
      (target ?? document.getElementById("access-tokens-heading"))?.focus();
    }
    if (panel.dataset.state !== "form" && panel.dataset.state !== "asking") {
      returnTo = [];
    }
    if (panel.dataset.said && wanted?.id !== "access-tokens-notice") {
      say(panel.dataset.said);
    }
  }

  function keepAddress(panel) {
    const { address } = panel.dataset;
    if (address && panel.closest("[data-own-page]")) {
      history.replaceState(history.state, "", address);
    }
  }

  function addLocalTime(time) {
    const format = new Intl.DateTimeFormat(languageOf(time), { dateStyle: "long", timeStyle: "short" });
    if (format.resolvedOptions().timeZone === text("zone")) {
      return;
    }
    const words = text("textLocal").replace("{time}", format.format(new Date(time.dateTime)));
    if (time.title) {
      time.title = `${words}\n${time.title}`;
    } else {
      const line = document.createElement("span");
      line.className = "access-tokens-local";
      line.textContent = words;
      time.after(line);
    }
  }

  // English dates stand as the server writes them: day, month, year.
  function languageOf(element) {
    const language = element.closest("[lang]")?.lang || undefined;
    return language === "en" ? "en-GB" : language;
  }

  // The new token

  function watchSecret(panel) {
    const secret = panel.querySelector("#access-tokens-secret");
    copied = !secret;
    if (secret) {
      secret.focus();
      secret.select();
      window.addEventListener("beforeunload", warn);
    } else {
      window.removeEventListener("beforeunload", warn);
    }
  }

  function warn(event) {
    if (!copied && document.getElementById("access-tokens-secret")) {
      event.preventDefault();
    }
  }

  function noteCopy() {
    copied = true;
    window.removeEventListener("beforeunload", warn);
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copies);
    const words = source.value ?? source.textContent;
    let done = false;
    try {
      await navigator.clipboard.writeText(words);
      done = true;
    } catch {
      // Over plain http there is no navigator.clipboard, but there is this.
      mark(source);
      done = document.execCommand("copy");
      if (done) {
        button.focus();
      }
    }
    if (done && source.id === "access-tokens-secret") {
      noteCopy();
    }
    if (!done) {
      mark(source);
    }
    button.toggleAttribute("data-done", done);
    say(text(done ? button.dataset.says : "textNotCopied"));
    if (!done) {
      show(text("textNotCopied"));
    }
  }

  function mark(source) {
    source.focus();
    if (source.select) {
      source.select();
    } else {
      getSelection().selectAllChildren(source);
    }
  }

  function waitForUse(panel) {
    const line = panel.querySelector("[data-waits-for]");
    if (!line) {
      return;
    }
    line.hidden = false;
    const until = Date.now() + LOOKS_FOR;
    const look = async () => {
      if (!line.isConnected || Date.now() > until) {
        return;
      }
      if (!document.hidden) {
        try {
          const answer = await fetch(line.dataset.waitsFor, { redirect: "error", cache: "no-store" });
          if (!answer.ok) {
            return;
          }
          const use = await answer.json();
          if (use.used && line.isConnected) {
            tellUse(line, use);
          }
        } catch {
          return;
        }
      }
      setTimeout(look, LOOKS_EVERY);
    };
    setTimeout(look, LOOKS_EVERY);
  }

  function tellUse(line, use) {
    const first = !("used" in line.dataset);
    line.dataset.used = "";
    line.textContent = text("textUsed").replace("{distance}", use.distance);
    for (const place of panelNow().querySelectorAll(`[data-used="${line.dataset.token}"]`)) {
      const exact = place.matches("dd");
      const time = document.createElement("time");
      time.dateTime = use.used;
      time.textContent = exact ? use.moment : use.distance;
      time.title = exact ? "" : use.moment;
      place.replaceChildren(time);
      addLocalTime(time);
    }
    if (first) {
      say(line.textContent);
    }
  }

  // The form

  function markChoices(panel) {
    const field = panel.querySelector("#access-tokens-lifetime_days");
    if (!field) {
      return;
    }
    const typed = field.value.trim();
    const choices = [...panel.querySelectorAll('[data-fills="access-tokens-lifetime_days"]')];
    const known = choices.some((choice) => choice.dataset.value === typed);
    for (const choice of choices) {
      const chosen = "value" in choice.dataset ? choice.dataset.value === typed : !known;
      choice.setAttribute("aria-pressed", String(chosen));
    }
  }

  function tellEnding(panel) {
    const field = panel.querySelector("#access-tokens-lifetime_days");
    const typed = field.value.trim();
    const days = /^-?[0-9]{1,5}$/.test(typed) ? Number(typed) : 0;
    let words = "";
    if (days === -1 && "forever" in field.dataset) {
      words = text("textForever");
    } else if (days >= 1 && days <= Number(field.dataset.longest)) {
      const format = new Intl.DateTimeFormat(languageOf(field), { dateStyle: "long", timeZone: text("zone") });
      words = text("textExpires").replace("{date}", format.format(Date.now() + days * 86400000));
    }
    panel.querySelector("[data-ending]").textContent = words;
    return words;
  }

  function choose(choice) {
    const field = document.getElementById(choice.dataset.fills);
    const panel = panelNow();
    if ("value" in choice.dataset) {
      field.value = choice.dataset.value;
    }
    if (field.name === "lifetime_days") {
      markChoices(panel);
      say(tellEnding(panel));
    }
    if (field.name === "name" || !("value" in choice.dataset)) {
      field.focus();
      field.select();
    }
    if (!("value" in choice.dataset)) {
      document.querySelectorAll(`[data-fills="${field.id}"]`).forEach((other) => {
        other.setAttribute("aria-pressed", String(other === choice));
      });
    }
  }

  // Requests

  function begin(form) {
    form.dataset.busy = "";
    form.querySelectorAll("button").forEach((button) => button.setAttribute("aria-disabled", "true"));
  }

  function end(form) {
    delete form.dataset.busy;
    form.querySelectorAll("button").forEach((button) => button.removeAttribute("aria-disabled"));
  }

  function show(words) {
    const panel = panelNow();
    let notice = panel.querySelector("[data-failure]");
    if (!notice) {
      notice = document.createElement("p");
      notice.className = "access-tokens-notice access-tokens-alarm";
      notice.dataset.failure = "";
      panel.querySelector(".access-tokens-head, h1")?.after(notice);
    }
    notice.textContent = words;
    notice.scrollIntoView({ block: "nearest" });
  }

  function fail(status) {
    const words = text(!status ? "textUnreachable" : status >= 500 ? "textFailed" : "textRefused");
    show(words);
    say(words);
  }

  function remember(element) {
    const row = element.closest?.("tr");
    if (row) {
      const near = [row, row.nextElementSibling, row.previousElementSibling];
      returnTo = near.map((each) => each?.querySelector(".access-tokens-actions button")?.id).filter(Boolean);
    } else if (element.id === "access-tokens-generate") {
      returnTo = [element.id];
    }
  }

  const sender = (event) => event.detail?.ctx?.sourceElement ?? event.detail?.elt ?? event.target;

  // The names of htmx 1 and 2, then those of 4.
  for (const name of ["htmx:beforeRequest", "htmx:before:request"]) {
    document.addEventListener(name, (event) => {
      const element = sender(event);
      if (ours(element)) {
        remember(element);
        focusedId = document.activeElement?.id ?? "";
        element.setAttribute("aria-busy", "true");
      }
    });
  }

  for (const name of ["htmx:afterRequest", "htmx:finally:request"]) {
    document.addEventListener(name, (event) => {
      const element = sender(event);
      if (element instanceof Element) {
        element.removeAttribute("aria-busy");
        if (element.matches("form[data-busy]")) {
          end(element);
        }
      }
    });
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const status = event.detail.xhr?.status ?? 0;
    if (ours(sender(event)) && status >= 400) {
      event.detail.shouldSwap = false;
    }
  });

  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    if (ours(sender(event)) && !xhr.getResponseHeader("HX-Redirect")) {
      fail(xhr.status);
    }
  });

  document.addEventListener("htmx:before:response", (event) => {
    const { status, headers } = event.detail.ctx.response;
    if (ours(sender(event)) && status >= 400 && !headers.get("HX-Redirect")) {
      event.preventDefault();
      fail(status);
    }
  });

  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:error"]) {
    document.addEventListener(name, (event) => {
      if (ours(sender(event))) {
        fail(0);
      }
    });
  }

  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!ours(form)) {
        return;
      }
      if ("busy" in form.dataset) {
        event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      begin(form);
      // Where no answer ever comes, a person may try again.
      setTimeout(() => form.hasAttribute("aria-busy") || end(form), RETRY_AFTER);
    },
    true,
  );

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const button = target?.closest("#access-tokens [data-copies], #access-tokens [data-fills]");
    if (button?.dataset.copies) {
      copy(button);
    } else if (button) {
      choose(button);
    } else if (target?.id === "access-tokens-secret") {
      target.select();
    }
    document.querySelectorAll(".access-tokens-details[open]").forEach((details) => {
      if (!details.contains(target)) {
        details.open = false;
      }
    });
  });

  document.addEventListener("keydown", (event) => {
    const details = event.key === "Escape" && event.target.closest?.(".access-tokens-details[open]");
    if (details) {
      details.open = false;
      details.querySelector("summary").focus();
    }
  });

  document.addEventListener("input", (event) => {
    if (event.target.id === "access-tokens-lifetime_days") {
      markChoices(panelNow());
      tellEnding(panelNow());
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches?.("#access-tokens [data-submits]")) {
      event.target.form.requestSubmit();
    }
  });

  document.addEventListener("copy", (event) => {
    const secret = event.target;
    if (secret.id === "access-tokens-secret" && secret.selectionEnd - secret.selectionStart === secret.value.length) {
      noteCopy();
    }
  });

  // A page that is kept for Back keeps no secret.
  window.addEventListener("pagehide", () => {
    const secret = document.getElementById("access-tokens-secret");
    if (secret) {
      secret.value = "";
      secret.removeAttribute("value");
      secret.closest("[data-access-tokens-made]")?.remove();
    }
    document.querySelectorAll("#access-tokens form[data-busy]").forEach(end);
  });

  // htmx, where the host has none. Two of them on a page would send every form twice.

  function hostHasHtmx() {
    const ready = (element) => "htmx-internal-data" in element || "_htmx" in element;
    return Boolean(window.htmx) || [...document.querySelectorAll("#access-tokens [hx-get], #access-tokens [hx-post]")].some(ready);
  }

  function load() {
    if (window.htmx || document.querySelector("script[data-access-tokens-htmx]")) {
      return;
    }
    const script = document.createElement("script");
    script.src = settings.htmxSrc;
    script.nonce = nonce;
    script.dataset.accessTokensHtmx = "";
    document.head.append(script);
  }

  if (settings.htmx === "bundled") {
    load();
  } else if (settings.htmx === "auto") {
    const look = () => setTimeout(() => hostHasHtmx() || load(), 0);
    if (document.readyState === "complete") {
      look();
    } else {
      window.addEventListener("load", look);
    }
  }

  prepare();
  new MutationObserver(prepare).observe(document.documentElement, { childList: true, subtree: true });
})();
