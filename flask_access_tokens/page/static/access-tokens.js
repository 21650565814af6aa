/* What JavaScript adds to the access token page. Included twice, it runs once. */
(() => {
  "use strict";

  if (window.accessTokensScript) {
    return;
  }
  window.accessTokensScript = true;

  const [POLL_EVERY, POLL_FOR, RETRY_AFTER, DAY] = [3000, 600000, 5000, 86400000]; // milliseconds
  const FORMS = ["owner", "form", "editing", "rotating", "deleting"]; // the states of the panel that lead back to the list
  // Outside the rows, what leads to such a state.
  const OPENERS = ["access-tokens-generate", "access-tokens-delete-selected", "access-tokens-delete-everything"];
  const { nonce, dataset: settings } = document.currentScript;

  let current = null; // the panel that was prepared last
  let container = null; // its parent, which stays when a panel is replaced
  let here = ""; // the URL of the page without its fragment
  let returnTo = []; // IDs to focus when the list is shown again
  let focusedId = ""; // of the element focused when a request began; htmx focuses it again
  let announcing = 0; // the timer of the last announcement
  let copied = true; // false while a secret is shown that has not been copied

  const byId = (id) => document.getElementById(`access-tokens${id}`);
  const currentPanel = () => byId("");
  const isOurs = (element) => element instanceof Element && element.closest("#access-tokens");
  const text = (name) => currentPanel()?.closest(".access-tokens")?.dataset[name] ?? "";
  const address = () => location.href.split("#")[0];

  function announce(words) {
    const region = document.querySelector("[data-access-tokens-live]");
    region?.replaceChildren();
    // Emptied first, so that the same text is announced again.
    clearTimeout(announcing);
    announcing = setTimeout(() => region?.replaceChildren(words), 50);
  }

  // A new panel: with the page, or in place of another

  function prepare() {
    const panel = currentPanel();
    if (!panel || panel === current) {
      return;
    }
    const replaced = container !== null && container === panel.parentElement ? current : null;
    container = panel.parentElement;
    current = panel;
    panel.querySelectorAll("[data-with-script]").forEach((element) => (element.hidden = false));
    panel.querySelectorAll("time[title], time[data-exact]").forEach(addLocalTime);
    copied = !byId("-secret");
    select(byId("-secret"));
    window[copied ? "removeEventListener" : "addEventListener"]("beforeunload", warnBeforeUnload);
    waitForUse(panel.querySelector("[data-waits-for]"));
    showExpiry();
    const page = panel.closest("[data-own-page]");
    if (page) {
      // On a boosted page, the panel may have been replaced before this script was there.
      updateAddress(panel.dataset, (replaced ?? page).dataset);
    }
    here = address();
    // After htmx, which restores the focus and sets the address.
    setTimeout(() => {
      here = address();
      if (replaced && panel === currentPanel()) {
        moveFocus(panel, replaced.dataset.order);
      }
    }, 30);
  }

  function moveFocus(panel, order) {
    const wanted = panel.querySelector("[autofocus]");
    const active = document.activeElement;
    const lost = !panel.contains(active);
    if (wanted && (lost || (focusedId && active.id === focusedId))) {
      wanted.focus();
    } else if (!wanted && (lost || returnTo.length)) {
      const target = returnTo.map((id) => document.getElementById(id)).find(Boolean);
      (target ?? byId("-heading"))?.focus();
    }
    returnTo = FORMS.includes(panel.dataset.state) ? returnTo : [];
    if (wanted?.id !== "access-tokens-notice") {
      const sorted = order && panel.dataset.order !== order ? panel.dataset.order : "";
      const words = `${panel.dataset.announcement} ${sorted ?? ""}`.trim();
      words && announce(words);
    }
  }

  function updateAddress(now, before) {
    document.title = document.title.replace(before.title, now.title);
    const url = new URL(now.address, location).href;
    const moved = now.address !== before.address && (now.state === "list" || now.state !== before.state);
    if (moved && url !== address()) {
      const leavesForm = FORMS.includes(before.state) && !FORMS.includes(now.state);
      history[leavesForm ? "replaceState" : "pushState"](leavesForm ? history.state : null, "", url);
    }
  }

  // Back and Forward load what the address names, which is never a secret.
  window.addEventListener("popstate", (event) => {
    // htmx restores its own entries, and a change of the fragment loads nothing.
    if (!currentPanel()?.closest("[data-own-page]") || event.state?.htmx || address() === here) {
      return;
    }
    mayLeave() ? location.reload() : history.pushState(null, "", here);
  });

  function addLocalTime(time) {
    const language = languageOf(time);
    const moment = new Date(time.dateTime);
    const format = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" });
    if (format.resolvedOptions().timeZone === text("zone")) {
      return;
    }
    const words = text("textLocal").replace("{time}", format.format(moment));
    if (!time.title) {
      time.after(Object.assign(document.createElement("span"), { className: "access-tokens-local", textContent: words }));
      return;
    }
    time.title = `${words}\n${time.title}`;
    const date = new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(moment);
    time.parentElement.querySelector("[data-date]")?.replaceChildren(date);
  }

  // The server writes English dates as day, month, year.
  const languageOf = (element) => (element.closest("[lang]")?.lang || undefined)?.replace(/^en$/, "en-GB");

  // The new token

  const warnBeforeUnload = (event) => !copied && byId("-secret") && event.preventDefault();

  function mayLeave() {
    copied ||= !byId("-secret") || confirm(text("textLeave"));
    return copied;
  }

  function stop(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copies);
    const writing = navigator.clipboard?.writeText(source.value ?? source.textContent);
    let done = Boolean(writing) && (await writing.then(() => true).catch(() => false));
    if (!done) {
      // navigator.clipboard is missing over plain HTTP; this is not.
      select(source);
      done = document.execCommand("copy");
    }
    copied ||= done && source.id === "access-tokens-secret";
    button.toggleAttribute("data-done", done);
    if (done) {
      button.focus();
      announce(text(button.dataset.announces));
    } else {
      show(text("textNotCopied"));
    }
  }

  function select(source) {
    source?.focus();
    source?.select ? source.select() : source && getSelection().selectAllChildren(source);
  }

  function waitForUse(line) {
    line?.removeAttribute("hidden");
    const until = Date.now() + POLL_FOR;
    const poll = async () => {
      const answer = document.hidden ? null : await fetch(line.dataset.waitsFor, { redirect: "error", cache: "no-store" });
      const use = await answer?.json();
      if (use?.used && line.isConnected) {
        showUse(line, use);
      }
      wait();
    };
    // An error ends it: the session is gone, or the server.
    const wait = () => setTimeout(() => line?.isConnected && Date.now() < until && poll().catch(() => {}), POLL_EVERY);
    wait();
  }

  function showUse(line, use) {
    const first = !("used" in line.dataset);
    line.dataset.used = "";
    line.textContent = text("textUsed").replace("{distance}", use.distance);
    for (const place of currentPanel().querySelectorAll(`[data-used="${line.dataset.token}"]`)) {
      const shown = place.matches("dd") ? { textContent: use.moment } : { textContent: use.distance, title: use.moment };
      const time = Object.assign(document.createElement("time"), { dateTime: use.used, ...shown });
      place.replaceChildren(time);
      addLocalTime(time);
    }
    first && announce(line.textContent);
  }

  // The form

  function showExpiry() {
    const field = byId("-lifetime_days");
    if (!field) {
      return "";
    }
    const typed = field.value.trim();
    const days = /^-?[0-9]{1,5}$/.test(typed) ? Number(typed) : 0;
    const never = days === -1 && "mayNeverExpire" in field.dataset;
    let words = never ? text("textNeverExpires") : "";
    if (days >= 1 && days <= Number(field.dataset.maxDays)) {
      const format = new Intl.DateTimeFormat(languageOf(field), { dateStyle: "long", timeZone: text("zone") });
      words = text("textExpires").replace("{date}", format.format(Date.now() + days * DAY));
    }
    const line = currentPanel().querySelector("[data-expiry-text]");
    line.textContent = words;
    line.classList.toggle("access-tokens-caution", never);
    return words;
  }

  document.addEventListener("input", ({ target }) => {
    if (isOurs(target) && target.dataset.selects) {
      const boxes = currentPanel().querySelectorAll(`tbody [name="${target.dataset.selects}"]`);
      boxes.forEach((box) => (box.checked = target.checked));
      return;
    }
    const field = byId("-lifetime_days");
    if (isOurs(target)) {
      // What is said about a value no longer holds.
      const name = target.name.replace("preset", "days");
      byId(`-${name}`)?.removeAttribute("aria-invalid");
      byId(`-${name}-error`)?.remove();
      target.closest(".access-tokens-check, .access-tokens-field")?.querySelector(".access-tokens-mark")?.remove();
    }
    if (field && target === field) {
      const presets = [...field.form.querySelectorAll("[name=lifetime_preset]")];
      const match = presets.find((preset) => preset.value === field.value.trim()) ?? presets.at(-1);
      match && (match.checked = true);
      showExpiry();
    } else if (field && target.name === "lifetime_preset" && isOurs(target)) {
      // "Custom" leaves a number that can be changed: -1 stands for no number of days.
      field.value = target.value || (field.value === "-1" ? "" : field.value);
      announce(showExpiry());
    }
  });

  // Requests

  function setBusy(form, busy) {
    form.toggleAttribute("data-busy", busy);
    form.querySelectorAll("button").forEach((button) => (button.ariaDisabled = busy || null));
  }

  function show(words) {
    const panel = currentPanel();
    const notice = panel.querySelector("[data-failure]") ?? document.createElement("p");
    notice.className = "access-tokens-notice access-tokens-is-error";
    notice.dataset.failure = "";
    panel.querySelector(".access-tokens-head, h1")?.after(notice);
    notice.textContent = words;
    notice.scrollIntoView({ block: "nearest" });
    announce(words);
  }

  const fail = (status) => show(text(!status ? "textUnreachable" : status >= 500 ? "textFailed" : "textRefused"));

  function rememberFocus(element) {
    // From the end, where Delete stands: not every row has Rotate.
    const buttons = (row) => [...(row?.querySelectorAll(".access-tokens-actions button") ?? [])].reverse();
    const row = element.closest("tr");
    if (row) {
      const which = buttons(row).findIndex((button) => element.contains(button));
      const near = [row, row.nextElementSibling, row.previousElementSibling];
      returnTo = near.map((each) => buttons(each)[which]?.id).filter(Boolean);
      return;
    }
    const opener = element.closest("#access-tokens-selected")?.querySelector("button") ?? element;
    if (OPENERS.includes(opener.id)) {
      returnTo = [opener.id];
    } else if (element.id === "access-tokens-deletion") {
      returnTo = returnTo.filter((id) => !OPENERS.includes(id));
    }
  }

  const sender = (event) => event.detail?.ctx?.sourceElement ?? event.detail?.elt ?? event.target;
  const listen = (names, act) => names.forEach((name) => document.addEventListener(name, act));

  // The event names of htmx 1 and 2, then those of 4.
  listen(["htmx:beforeRequest", "htmx:before:request"], (event) => {
    const element = sender(event);
    const target = event.detail?.ctx?.target ?? event.detail?.target;
    if (isOurs(element)) {
      announce("");
      rememberFocus(element);
      focusedId = document.activeElement?.id ?? "";
      element.setAttribute("aria-busy", "true");
    } else if (target instanceof Element && target.contains(currentPanel()) && !mayLeave()) {
      stop(event);
    }
  });

  listen(["htmx:afterRequest", "htmx:finally:request"], (event) => {
    const element = sender(event);
    element.removeAttribute?.("aria-busy");
    if (element.matches?.("form[data-busy]")) {
      setBusy(element, false);
    }
  });

  listen(["htmx:beforeSwap"], (event) => {
    event.detail.shouldSwap &&= !(isOurs(sender(event)) && event.detail.xhr?.status >= 400);
  });

  listen(["htmx:responseError", "htmx:before:response"], (event) => {
    const response = event.detail.ctx?.response;
    const status = response?.status ?? event.detail.xhr.status;
    const redirect = response ? response.headers.get("HX-Redirect") : event.detail.xhr.getResponseHeader("HX-Redirect");
    if (isOurs(sender(event)) && status >= 400 && !redirect) {
      event.preventDefault();
      fail(status);
    }
  });

  listen(["htmx:sendError", "htmx:timeout", "htmx:error"], (event) => isOurs(sender(event)) && fail(0));

  // Before htmx, which listens on the elements.
  const capture = (name, act) => document.addEventListener(name, act, true);

  capture("submit", (event) => {
    const form = event.target;
    if (isOurs(form) && ("busy" in form.dataset || !mayLeave())) {
      stop(event);
    } else if (isOurs(form)) {
      setBusy(form, true);
      // Without any response, let the person try again.
      setTimeout(() => form.hasAttribute("aria-busy") || setBusy(form, false), RETRY_AFTER);
    }
  });

  capture("click", (event) => {
    const inNewTab = event.ctrlKey || event.metaKey || event.shiftKey;
    if (!inNewTab && event.target.closest("#access-tokens a[hx-get]") && !mayLeave()) {
      stop(event);
    }
  });

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("#access-tokens [data-copies]");
    if (button) {
      copy(button);
    } else if (target.id === "access-tokens-secret") {
      target.select();
    }
  });

  // An open popover must not cover what is focused.
  document.addEventListener("focusin", ({ target }) => {
    for (const details of document.querySelectorAll(".access-tokens-details[popover]")) {
      if (!details.contains(target) && target.getAttribute("popovertarget") !== details.id) {
        details.hidePopover?.();
      }
    }
  });

  document.addEventListener("copy", ({ target }) => {
    copied ||= target.id === "access-tokens-secret" && target.selectionEnd - target.selectionStart === target.value.length;
  });

  // A page that the browser keeps for Back must not keep a secret.
  window.addEventListener("pagehide", () => {
    byId("-secret")?.closest("[data-access-tokens-created]").remove();
    document.querySelectorAll("#access-tokens form[data-busy]").forEach((form) => setBusy(form, false));
  });

  // htmx, where the host has none: two copies on a page would send every form twice.

  function load() {
    const ready = (element) => "htmx-internal-data" in element || "_htmx" in element;
    const acting = document.querySelectorAll("#access-tokens [hx-get], #access-tokens [hx-post]");
    if (!window.htmx && !document.querySelector("script[data-access-tokens-htmx]") && ![...acting].some(ready)) {
      const script = Object.assign(document.createElement("script"), { src: settings.htmxSrc, nonce });
      script.dataset.accessTokensHtmx = "";
      document.head.append(script);
    }
  }

  const look = () => setTimeout(load, 0);
  if (settings.htmx === "bundled" || (settings.htmx === "auto" && document.readyState === "complete")) {
    look();
  } else if (settings.htmx === "auto") {
    window.addEventListener("load", look);
  }

  // Back or Forward may have been pressed before this script was there.
  const [loaded] = performance.getEntriesByType("navigation");
  const moved = document.readyState !== "complete" && loaded.name.split("#")[0] !== address();
  moved && currentPanel()?.closest("[data-own-page]") && location.reload();

  prepare();
  new MutationObserver(prepare).observe(document.documentElement, { childList: true, subtree: true });
})();
