/* What JavaScript adds to the access token page. Included twice, it runs once. */
(() => {
  "use strict";

  if (window.accessTokensScript) {
    return;
  }
  window.accessTokensScript = true;

  const POLL_EVERY = 3000;
  const POLL_FOR = 10 * 60 * 1000;
  const RETRY_AFTER = 5000;
  const { nonce, dataset: settings } = document.currentScript;

  let current = null; // the panel that was prepared last
  let container = null; // its parent, which stays when a panel is replaced
  let returnTo = []; // IDs to focus when the list is shown again
  let focusedId = ""; // of the element focused when a request began; htmx focuses it again
  let copied = true; // false while a secret is shown that has not been copied

  const currentPanel = () => document.getElementById("access-tokens");
  const isOurs = (element) => element instanceof Element && element.closest("#access-tokens");
  const text = (name) => currentPanel()?.closest(".access-tokens")?.dataset[name] ?? "";

  function announce(words) {
    const region = document.querySelector("[data-access-tokens-live]");
    if (region) {
      region.textContent = "";
      // Emptied first, so that the same text is announced again.
      setTimeout(() => (region.textContent = words), 50);
    }
  }

  // A new panel: with the page, or in place of another

  function prepare() {
    const panel = currentPanel();
    if (!panel || panel === current) {
      return;
    }
    const swapped = container !== null && container === panel.parentElement;
    container = panel.parentElement;
    current = panel;
    panel.querySelectorAll("[data-with-script]").forEach((element) => (element.hidden = false));
    panel.querySelectorAll("time[title], time[data-exact]").forEach(addLocalTime);
    watchSecret(panel);
    markChoices(panel);
    waitForUse(panel);
    if (swapped) {
      updateAddress(panel);
      // After htmx, which restores the focus.
      setTimeout(() => moveFocus(panel), 30);
    }
  }

  function moveFocus(panel) {
    if (panel !== currentPanel()) {
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
    if (panel.dataset.state !== "form" && panel.dataset.state !== "deleting") {
      returnTo = [];
    }
    if (panel.dataset.announcement && wanted?.id !== "access-tokens-notice") {
      announce(panel.dataset.announcement);
    }
  }

  function updateAddress(panel) {
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

  // The server writes English dates as day, month, year.
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
      window.addEventListener("beforeunload", warnBeforeUnload);
    } else {
      window.removeEventListener("beforeunload", warnBeforeUnload);
    }
  }

  function warnBeforeUnload(event) {
    if (!copied && document.getElementById("access-tokens-secret")) {
      event.preventDefault();
    }
  }

  function markCopied() {
    copied = true;
    window.removeEventListener("beforeunload", warnBeforeUnload);
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copies);
    const words = source.value ?? source.textContent;
    let done = false;
    try {
      await navigator.clipboard.writeText(words);
      done = true;
    } catch {
      // navigator.clipboard is missing over plain HTTP; this is not.
      select(source);
      done = document.execCommand("copy");
      if (done) {
        button.focus();
      }
    }
    if (done && source.id === "access-tokens-secret") {
      markCopied();
    }
    if (!done) {
      select(source);
    }
    button.toggleAttribute("data-done", done);
    announce(text(done ? button.dataset.announces : "textNotCopied"));
    if (!done) {
      show(text("textNotCopied"));
    }
  }

  function select(source) {
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
    const until = Date.now() + POLL_FOR;
    const poll = async () => {
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
            showUse(line, use);
          }
        } catch {
          return;
        }
      }
      setTimeout(poll, POLL_EVERY);
    };
    setTimeout(poll, POLL_EVERY);
  }

  function showUse(line, use) {
    const first = !("used" in line.dataset);
    line.dataset.used = "";
    line.textContent = text("textUsed").replace("{distance}", use.distance);
    for (const place of currentPanel().querySelectorAll(`[data-used="${line.dataset.token}"]`)) {
      const exact = place.matches("dd");
      const time = document.createElement("time");
      time.dateTime = use.used;
      time.textContent = exact ? use.moment : use.distance;
      time.title = exact ? "" : use.moment;
      place.replaceChildren(time);
      addLocalTime(time);
    }
    if (first) {
      announce(line.textContent);
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

  function showExpiry(panel) {
    const field = panel.querySelector("#access-tokens-lifetime_days");
    const typed = field.value.trim();
    const days = /^-?[0-9]{1,5}$/.test(typed) ? Number(typed) : 0;
    let words = "";
    if (days === -1 && "mayNeverExpire" in field.dataset) {
      words = text("textNeverExpires");
    } else if (days >= 1 && days <= Number(field.dataset.maxDays)) {
      const format = new Intl.DateTimeFormat(languageOf(field), { dateStyle: "long", timeZone: text("zone") });
      words = text("textExpires").replace("{date}", format.format(Date.now() + days * 86400000));
    }
    panel.querySelector("[data-expiry-text]").textContent = words;
    return words;
  }

  function choose(choice) {
    const field = document.getElementById(choice.dataset.fills);
    const panel = currentPanel();
    if ("value" in choice.dataset) {
      field.value = choice.dataset.value;
    }
    if (field.name === "lifetime_days") {
      markChoices(panel);
      announce(showExpiry(panel));
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
    const panel = currentPanel();
    let notice = panel.querySelector("[data-failure]");
    if (!notice) {
      notice = document.createElement("p");
      notice.className = "access-tokens-notice access-tokens-is-error";
      notice.dataset.failure = "";
      panel.querySelector(".access-tokens-head, h1")?.after(notice);
    }
    notice.textContent = words;
    notice.scrollIntoView({ block: "nearest" });
  }

  function fail(status) {
    const words = text(!status ? "textUnreachable" : status >= 500 ? "textFailed" : "textRefused");
    show(words);
    announce(words);
  }

  function rememberFocus(element) {
    const row = element.closest?.("tr");
    if (row) {
      const near = [row, row.nextElementSibling, row.previousElementSibling];
      returnTo = near.map((each) => each?.querySelector(".access-tokens-actions button")?.id).filter(Boolean);
    } else if (element.id === "access-tokens-generate") {
      returnTo = [element.id];
    }
  }

  const sender = (event) => event.detail?.ctx?.sourceElement ?? event.detail?.elt ?? event.target;

  // The event names of htmx 1 and 2, then those of 4.
  for (const name of ["htmx:beforeRequest", "htmx:before:request"]) {
    document.addEventListener(name, (event) => {
      const element = sender(event);
      if (isOurs(element)) {
        rememberFocus(element);
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
    if (isOurs(sender(event)) && status >= 400) {
      event.detail.shouldSwap = false;
    }
  });

  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    if (isOurs(sender(event)) && !xhr.getResponseHeader("HX-Redirect")) {
      fail(xhr.status);
    }
  });

  document.addEventListener("htmx:before:response", (event) => {
    const { status, headers } = event.detail.ctx.response;
    if (isOurs(sender(event)) && status >= 400 && !headers.get("HX-Redirect")) {
      event.preventDefault();
      fail(status);
    }
  });

  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:error"]) {
    document.addEventListener(name, (event) => {
      if (isOurs(sender(event))) {
        fail(0);
      }
    });
  }

  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!isOurs(form)) {
        return;
      }
      if ("busy" in form.dataset) {
        event.preventDefault();
        event.stopImmediatePropagation();
        return;
      }
      begin(form);
      // Without any response, let the person try again.
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
      markChoices(currentPanel());
      showExpiry(currentPanel());
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
      markCopied();
    }
  });

  // A page that the browser keeps for Back must not keep a secret.
  window.addEventListener("pagehide", () => {
    const secret = document.getElementById("access-tokens-secret");
    if (secret) {
      secret.value = "";
      secret.removeAttribute("value");
      secret.closest("[data-access-tokens-created]")?.remove();
    }
    document.querySelectorAll("#access-tokens form[data-busy]").forEach(end);
  });

  // htmx, where the host has none: two copies on a page would send every form twice.

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
