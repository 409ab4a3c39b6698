// Ranges of time above a chart that are dragged, stretched, or moved by the arrow keys, and the form that they fill in.
//
// `.bars[data-chart][data-form]` holds the ranges of the chart's figure. A range that changes is written into the form's
// fields `event`, `start` and `end`, and the form hears "change"; a change of these fields moves the range.
"use strict";
(() => {
  const MINUTE = 60_000, DAY = 86_400_000, LANE = 36;
  const parse = (text) => Date.parse(text.length > 10 ? `${text}Z` : `${text}T00:00Z`);
  const write = (time) => new Date(time).toISOString().slice(0, 16);
  const words = new Intl.DateTimeFormat(undefined, { timeZone: "UTC", weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const ranges = new Map(); // by event: { planned, start, end, bar, span }
  let figure, snap, bars, form;

  const from = () => parse(figure.from), to = () => parse(figure.to);
  const share = (time) => (100 * (time - from())) / (to() - from());

  function build(event) {
    figure = event.detail.figure;
    bars = document.querySelector(`.bars[data-chart="${event.target.id}"]`);
    if (!bars) return;
    form = document.getElementById(bars.dataset.form);
    if (bars.dataset.built === JSON.stringify(figure.ranges)) return;
    bars.dataset.built = JSON.stringify(figure.ranges);
    snap = Math.min(Math.max(figure.step * 1000, 15 * MINUTE), DAY);
    bars.replaceChildren();
    ranges.clear();
    const lanes = document.querySelector(`.lanes[data-chart="${event.target.id}"]`);
    for (const place of [bars, lanes]) {
      place.style.marginLeft = place.style.left = `${event.detail.margin.l}px`;
      place.style.marginRight = place.style.right = `${event.detail.margin.r}px`;
    }
    lanes.style.margin = "0";
    bars.style.left = bars.style.right = "";
    lanes.style.top = `${event.detail.margin.t}px`;
    lanes.style.bottom = `${event.detail.margin.b}px`;
    lanes.replaceChildren();
    const ends = []; // of the last range in each lane
    const room = (60 / bars.clientWidth) * (to() - from()); // grips need theirs
    for (const planned of figure.ranges) {
      const [start, end] = [parse(planned.start), parse(planned.end)];
      let lane = ends.findIndex((over) => over + room <= start);
      if (lane < 0) lane = ends.push(0) - 1;
      ends[lane] = end;
      const bar = Object.assign(document.createElement("div"), { className: "bar" });
      const span = Object.assign(document.createElement("div"), { className: "span" });
      bar.style.top = `${lane * LANE + 1}px`;
      bar.setAttribute("role", "group");
      bar.setAttribute("aria-label", planned.name);
      bar.dataset.event = planned.event;
      const range = { planned, start, end, bar, span };
      for (const part of ["start", "body", "end"]) bar.append(handle(range, part));
      ranges.set(planned.event, range);
      bars.append(bar);
      lanes.append(span);
      show(range);
    }
    bars.style.height = `${ends.length * LANE}px`;
    typed();
  }

  function handle(range, part) {
    const label = { start: `Start of ${range.planned.name}`, body: `Move ${range.planned.name}`, end: `End of ${range.planned.name}` }[part];
    const made = Object.assign(document.createElement("button"), { type: "button", className: part === "body" ? part : `grip ${part}` });
    if (part === "body") made.textContent = range.planned.name;
    made.setAttribute("role", "slider");
    made.setAttribute("aria-label", label);
    made.addEventListener("pointerdown", (event) => drag(event, range, part));
    made.addEventListener("keydown", (event) => step(event, range, part));
    return made;
  }

  function drag(event, range, part) {
    if (event.button) return;
    const handle = event.currentTarget, x = event.clientX, { start, end } = range;
    handle.setPointerCapture(event.pointerId);
    handle.focus();
    const move = (now) => shift(range, part, start, end, ((now.clientX - x) / bars.clientWidth) * (to() - from()));
    const done = (how) => {
      handle.removeEventListener("pointermove", move);
      handle.removeEventListener("pointerup", done);
      handle.removeEventListener("pointercancel", done);
      if (how.type === "pointercancel") put(range, start, end);
      else if (range.start !== start || range.end !== end) tell(range);
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", done);
    handle.addEventListener("pointercancel", done);
  }

  function step(event, range, part) {
    const lengths = { ArrowLeft: -snap, ArrowDown: -snap, ArrowRight: snap, ArrowUp: snap, PageDown: -DAY, PageUp: DAY };
    if (event.key === "Escape") put(range, parse(range.planned.start), parse(range.planned.end));
    else if (event.key in lengths) shift(range, part, range.start, range.end, lengths[event.key]);
    else return;
    event.preventDefault();
    tell(range);
  }

  function shift(range, part, start, end, by) {
    by = Math.round(by / snap) * snap;
    if (part === "body") put(range, start + by, end + by);
    else if (part === "start") put(range, Math.min(start + by, end - snap), end);
    else put(range, start, Math.max(end + by, start + snap));
  }

  function put(range, start, end) {
    [range.start, range.end] = [start, end];
    show(range);
    const { event, start: first, end: last } = form.elements;
    for (const other of ranges.values()) if (other !== range) reset(other);
    [event.value, first.value, last.value] = [range.planned.event, write(start), write(end)];
  }

  function reset(range) {
    [range.start, range.end] = [parse(range.planned.start), parse(range.planned.end)];
    show(range);
  }

  const tell = () => form.elements.start.dispatchEvent(new Event("change", { bubbles: true }));

  function show(range) {
    const left = share(Math.max(range.start, from())), right = share(Math.min(range.end, to()));
    const out = range.end <= from() || range.start >= to();
    for (const one of [range.bar, range.span]) {
      one.style.left = `${left}%`;
      one.style.width = `${Math.max(right - left, 0.4)}%`;
      one.hidden = out;
    }
    range.bar.classList.toggle("moved", range.start !== parse(range.planned.start) || range.end !== parse(range.planned.end));
    const said = { start: words.format(range.start), end: words.format(range.end) };
    range.bar.title = `${range.planned.name}: ${said.start} to ${said.end}`;
    const [first, body, last] = range.bar.children;
    for (const [part, value, text] of [[first, range.start, said.start], [body, range.start, `${said.start} to ${said.end}`], [last, range.end, said.end]]) {
      part.setAttribute("aria-valuemin", Math.round(from() / MINUTE));
      part.setAttribute("aria-valuemax", Math.round(to() / MINUTE));
      part.setAttribute("aria-valuenow", Math.round(value / MINUTE));
      part.setAttribute("aria-valuetext", text);
    }
  }

  // The fields were changed by hand, or came so with the page.
  function typed() {
    const { event, start, end } = form.elements;
    const range = ranges.get(event.value);
    if (!range || !start.value || !end.value) return;
    [range.start, range.end] = [parse(start.value), parse(end.value)];
    show(range);
  }

  document.addEventListener("drawn", build);
  document.addEventListener("input", (event) => {
    if (form && event.target.form === form && ["start", "end"].includes(event.target.name)) typed();
  });
  // Another event was chosen: its own times come into the fields before the form is sent.
  document.addEventListener("change", (event) => {
    if (!form || event.target !== form.elements.event) return;
    for (const range of ranges.values()) reset(range);
    const chosen = ranges.get(event.target.value);
    form.elements.start.value = chosen ? write(chosen.start) : "";
    form.elements.end.value = chosen ? write(chosen.end) : "";
  }, true);
})();
