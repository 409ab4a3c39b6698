// The queue: one card at a time, a key for each outcome, the next card claimed before it is asked for, and what others do
// seen within a second. Nothing is shown as done before the server has said so.
"use strict";
(() => {
  const root = document.getElementById("queue");
  if (!root) return;
  const at = (id) => document.getElementById(id);
  const [place, beside, toast, trouble] = ["case", "beside", "toast", "trouble"].map(at);
  const address = root.dataset.address;
  const lease = Number(root.dataset.lease);

  const LOOK = 800, // milliseconds between two looks at what others do
    HIDDEN = 5000, // the same while nobody sees the page
    PATIENCE = 10000, // for an answer
    AWAY = 5 * 60 * 1000; // a reader who has not moved for so long is not there

  let next = null; // the card after this one, claimed
  let ahead = null; // the request for it
  let busy = false;
  let undoable = null; // the last ruling: its number, and until when it can be taken back
  let skipped = []; // cases that this reader has passed on
  let ahead_of = 0; // seconds that the server's clock is ahead of this one
  let moved = Date.now(); // when the reader last did something
  let signed = Date.now(); // when the claims were renewed last
  let version = "";
  let waiting = 0; // the timer of the next look

  const now = () => Date.now() / 1000 + ahead_of;
  const current = () => place.querySelector(".queue-case");
  const form = () => place.querySelector(".queue-form");
  const say = (words) => (at("said").textContent = words);

  function heard(seconds) {
    if (seconds) ahead_of = Number(seconds) - Date.now() / 1000;
  }

  function parsed(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const found = holder.content.firstElementChild;
    heard(found?.dataset.now);
    return found;
  }

  // Asks the server; answers {status, text}, status 0 where it cannot be reached.
  async function send(name, fields) {
    try {
      const body = new URLSearchParams(fields);
      const headers = { "hx-request": "true", "hx-current-url": location.href };
      const answer = await fetch(`${address}/${name}`, { method: "POST", headers, body, signal: AbortSignal.timeout(PATIENCE) });
      if (answer.status === 401) location.assign(answer.headers.get("HX-Redirect") || location.href);
      return { status: answer.status, text: await answer.text() };
    } catch {
      return { status: 0, text: "" };
    }
  }

  function words(answer) {
    if (answer.status === 0) return "The server cannot be reached. What you wrote is still here: try it again.";
    return new DOMParser().parseFromString(answer.text, "text/html").body.textContent.trim() || "That did not work.";
  }

  // Says why not. Where the card's own claim was lost, what was written stays, and there are ways on.
  function refuse(answer, lost = answer.status === 409 && form()) {
    trouble.querySelector("p").textContent = words(answer) + (lost ? " What you wrote is still here." : "");
    trouble.querySelector(".queue-ways").hidden = !lost;
    trouble.hidden = false;
  }

  function busily(is) {
    busy = is;
    place.setAttribute("aria-busy", String(is));
  }

  function show(card) {
    trouble.hidden = true;
    if (!card) return empty();
    place.replaceChildren(card);
    signed = Date.now();
    tick();
    mark();
    card.querySelector(".queue-subject").focus({ preventScroll: true });
    window.scrollTo({ top: 0 });
  }

  // Which of one's own is open, and which comes after it.
  function mark() {
    for (const one of beside.querySelectorAll("[data-open]")) {
      const open = one.dataset.open === current()?.dataset.case;
      if (open) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
      const chip = one.querySelector("[data-yours]");
      if (chip) chip.textContent = open ? "open" : "next";
    }
  }

  // Why there is no card.
  function empty() {
    const others = Number(beside.firstElementChild?.dataset.waiting) > 0;
    const [strong, rest] = others ? ["All taken.", "Others read what is left."] : ["Nothing waits.", "You are done."];
    const found = document.createElement("p");
    found.className = "queue-empty";
    found.append(Object.assign(document.createElement("strong"), { textContent: strong }), `${rest} What comes is shown here at once.`);
    place.replaceChildren(found);
  }

  async function claim(fields) {
    const answer = await send("claim", fields);
    return { answer, card: answer.status === 200 ? parsed(answer.text) : null };
  }

  function taken() {
    return [...skipped, current()?.dataset.case].filter(Boolean).join(",");
  }

  // Claims the card after this one; there is one such request at a time.
  function prefetch() {
    if (next || ahead || !current()) return;
    ahead = claim({ skip: taken() }).then(({ card }) => {
      ahead = null;
      if (card && card.dataset.case === current()?.dataset.case) return;
      next = card;
      if (card && !current()) forward();
    });
  }

  // Shows the next card, which is here as a rule.
  async function forward() {
    busily(true);
    if (ahead) await ahead;
    let card = next;
    next = null;
    if (!card) {
      place.replaceChildren();
      let found = await claim({ skip: skipped.join(",") });
      if (found.answer.status === 204 && skipped.length) {
        skipped = []; // nothing else waits: what was passed on comes again
        found = await claim({});
      }
      card = found.card;
      if (found.answer.status !== 200 && found.answer.status !== 204) {
        show(null);
        refuse(found.answer);
        busily(false);
        return;
      }
    }
    show(card);
    busily(false);
    prefetch();
  }

  async function rule(button) {
    if (busy || !form() || !button) return;
    busily(true);
    button.classList.add("chosen");
    const fields = new FormData(form());
    fields.set("outcome", button.value);
    const title = current().dataset.title;
    const answer = await send("rule", fields);
    if (answer.status !== 200) {
      button.classList.remove("chosen");
      busily(false);
      refuse(answer);
      return;
    }
    const made = JSON.parse(answer.text);
    heard(made.now);
    undoable = { ruling: made.ruling, until: made.until };
    toast.querySelector("span").textContent = `${made.words}: ${title}`;
    toast.hidden = made.until <= now();
    skipped = skipped.filter((one) => one !== current().dataset.case);
    await forward();
    const shown = current() ? ` Next: ${current().dataset.title}.` : " Nothing else waits.";
    say(`${title}: ${made.words}.${shown}`);
    tick();
    look();
  }

  async function undo() {
    if (busy || !undoable || undoable.until <= now()) return;
    busily(true);
    const answer = await send("undo", { ruling: undoable.ruling });
    busily(false);
    if (answer.status !== 200) return refuse(answer);
    undoable = null;
    toast.hidden = true;
    if (ahead) await ahead;
    const card = parsed(answer.text), before = current();
    if (before) {
      if (next) send("release", { case: next.dataset.case, claim: next.dataset.claim });
      next = before;
    }
    show(card);
    say(`${card.dataset.title}: taken back, and yours again.`);
  }

  async function skip() {
    const card = current();
    if (busy || !card) return;
    skipped = [...skipped, card.dataset.case].slice(-50);
    send("release", { case: card.dataset.case, claim: card.dataset.claim });
    await forward();
    say(current() ? `Skipped. Next: ${current().dataset.title}.` : "Skipped. Nothing else waits.");
  }

  // Goes on without this card: it is given back, if it is still one's own.
  async function onward() {
    if (busy) return;
    const card = current();
    if (card) send("release", { case: card.dataset.case, claim: card.dataset.claim });
    await forward();
  }

  // Claims the card again whose claim was lost, and leaves all that was written in it.
  async function again() {
    if (busy || !current()) return;
    busily(true);
    const card = current();
    const found = await claim({ case: card.dataset.case });
    busily(false);
    if (!found.card) return refuse(found.answer);
    card.dataset.claim = found.card.dataset.claim;
    for (const name of ["claim", "client"]) form().elements[name].value = found.card.querySelector(`[name=${name}]`).value;
    trouble.hidden = true;
    say("It is yours again.");
    card.querySelector(".queue-subject").focus();
  }

  async function open(key) {
    if (busy || key === current()?.dataset.case) return;
    busily(true);
    if (ahead) await ahead;
    if (next && next.dataset.case !== key) await send("release", { case: next.dataset.case, claim: next.dataset.claim });
    const found = next?.dataset.case === key ? { card: next } : await claim({ case: key });
    next = null;
    busily(false);
    if (!found.card) {
      refuse(found.answer, false); // the card that is open is still one's own
      return prefetch();
    }
    const before = current();
    show(found.card);
    if (before) next = before;
    say(found.card.dataset.title);
  }

  // What others do.
  async function look() {
    clearTimeout(waiting);
    try {
      const asked = `${address}/beside?v=${encodeURIComponent(version)}`;
      const answer = await fetch(asked, { headers: { "hx-request": "true" }, signal: AbortSignal.timeout(PATIENCE) });
      if (answer.status === 401) location.assign(location.href);
      if (answer.status >= 400) throw new Error(answer.status);
      at("away").hidden = true;
      if (answer.status === 200) seen(parsed(await answer.text()));
    } catch {
      at("away").textContent = "The server does not answer: who has which case is not known now.";
      at("away").hidden = false;
    }
    clearTimeout(waiting);
    waiting = setTimeout(look, document.hidden ? HIDDEN : LOOK);
  }

  function seen(list) {
    version = list.dataset.version;
    const focused = document.activeElement?.dataset?.open;
    const scrolled = beside.querySelector("ol")?.scrollTop || 0;
    beside.replaceChildren(list);
    list.querySelector("ol").scrollTop = scrolled;
    if (focused) list.querySelector(`[data-open="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    tick();
    mark();
    if (busy) return;
    if (current()) prefetch();
    else if (Number(list.dataset.waiting) > 0 && trouble.hidden) forward();
    else empty();
  }

  function left(seconds) {
    if (seconds <= 0) return "time is over";
    if (seconds < 60) return `${Math.ceil(seconds)} s left`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")} left`;
    if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h left`;
    return `${Math.floor(seconds / 86400)} days left`;
  }

  function tick() {
    for (const one of root.querySelectorAll("[data-left]")) {
      const remains = one.dataset.left - now();
      const text = left(remains);
      if (one.textContent !== text) one.textContent = text;
      one.classList.toggle("soon", remains > 0 && remains < 0.25 * (one.dataset.left - one.dataset.from));
      one.classList.toggle("over", remains <= 0);
    }
    if (undoable && undoable.until <= now()) {
      undoable = null;
      toast.hidden = true;
    }
    if (undoable) toast.querySelector("small").textContent = `${Math.ceil(undoable.until - now())} s`;
  }

  // A reader who is there keeps the claims; one who has gone, or a page that was closed, does not.
  async function sign() {
    const there = !document.hidden && Date.now() - moved < AWAY;
    if (!there || busy || !current() || !trouble.hidden || Date.now() - signed < lease * 250) return;
    signed = Date.now();
    for (const card of [current(), next].filter(Boolean)) {
      const answer = await send("renew", { case: card.dataset.case, claim: card.dataset.claim });
      if (answer.status === 200) heard(JSON.parse(answer.text).now);
      else if (answer.status === 409 && card === next) next = null;
      else if (answer.status === 409 && card === current()) refuse(answer);
    }
  }

  function move(by) {
    const all = [...beside.querySelectorAll("[data-open]")];
    if (!all.length) return;
    const here = all.indexOf(document.activeElement);
    const mine = all.findIndex((one) => one.dataset.open === current()?.dataset.case);
    const from = here >= 0 ? here : mine;
    all[Math.min(all.length - 1, Math.max(0, from + by))].focus();
  }

  function digit(key) {
    const field = form()?.querySelector(`[data-digit="${CSS.escape(key)}"]`);
    if (!field) return false;
    field.checked = !field.checked;
    say(`${field.value} ${field.checked ? "chosen" : "not chosen"}`);
    return true;
  }

  const DO = {
    u: undo, s: skip, n: onward,
    r: () => form()?.elements.why.focus(),
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
    "?": () => at("keys").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || at("keys").open) return;
    const writes = event.target.matches("textarea, select, input:not([type=radio], [type=checkbox])");
    if (writes) {
      if (event.key !== "Escape" && event.key !== "Enter") return;
      event.preventDefault(); // Enter would rule by the first button
      current()?.querySelector(".queue-subject").focus({ preventScroll: true });
      return;
    }
    const arrows = event.key.startsWith("Arrow") && event.target.matches("[type=radio]");
    if (arrows || event.repeat && !/^(j|k|Arrow)/.test(event.key)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const button = form()?.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (button) rule(button);
    else if (Object.hasOwn(DO, key)) DO[key]();
    else if (!/^[1-9]$/.test(key) || !digit(key)) return;
    event.preventDefault();
  });

  root.addEventListener("submit", (event) => {
    if (event.target.method === "dialog") return;
    event.preventDefault();
    rule(event.submitter);
  });
  root.addEventListener("click", (event) => {
    const opened = event.target.closest("[data-open]");
    if (opened) open(opened.dataset.open);
    if (event.target.closest("[data-skip]")) skip();
  });
  at("undo").addEventListener("click", undo);
  at("again").addEventListener("click", again);
  at("onward").addEventListener("click", onward);
  at("help").addEventListener("click", () => at("keys").showModal());
  for (const kind of ["keydown", "pointerdown", "input"]) document.addEventListener(kind, () => (moved = Date.now()));
  addEventListener("pagehide", () => {
    for (const card of [current(), next].filter(Boolean)) {
      navigator.sendBeacon(`${address}/release`, new URLSearchParams({ case: card.dataset.case, claim: card.dataset.claim }));
    }
  });
  addEventListener("pageshow", (event) => event.persisted && location.reload());

  setInterval(tick, 500);
  setInterval(sign, 2000);
  look();
  forward();
})();
