// Draws every [data-figure] into the chart that it names, at first and whenever htmx brings another one.
// Times are text on the clock of the series ("2026-11-27T18:00"), never of the reader's own zone.
"use strict";
(() => {
  const MARGIN = { l: 58, r: 14, t: 8, b: 34 };
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const faint = (rgb, share) => rgb.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*$/, `rgba($1,$2,$3,${share})`);

  function traces(figure) {
    const line = (name, values, paint, more) => ({ x: figure.times, y: values, name, mode: "lines", line: { color: paint, width: 2 }, hovertemplate: "%{y:,.4~g}", ...more });
    const found = [];
    const band = colour("accent");
    for (const [low, high, share, name] of figure.bands) {
      found.push(line(name, low, "rgba(0,0,0,0)", { hoverinfo: "skip", hovertemplate: null, line: { width: 0 } }));
      found.push(line(name, high, "rgba(0,0,0,0)", { fill: "tonexty", fillcolor: faint(band, share), hoverinfo: "skip", hovertemplate: null, line: { width: 0 } }));
    }
    for (const one of figure.lines) {
      const dash = one.dash ? { line: { color: colour(one.colour), width: 2, dash: one.dash } } : {};
      found.push(line(one.name, one.values, colour(one.colour), { ...dash, connectgaps: false }));
    }
    return found;
  }

  function draw(source) {
    const place = document.getElementById(source.dataset.chart);
    if (!place || !window.Plotly) return;
    const figure = JSON.parse(source.dataset.figure);
    const text = colour("soft");
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zerolinecolor: colour("line"), fixedrange: true, tickfont: { color: text, size: 12 } };
    const shapes = (figure.marks || []).map((x) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: colour("soft"), width: 1, dash: "dot" } }));
    const layout = {
      margin: MARGIN, showlegend: false, hovermode: "x unified", dragmode: false, shapes,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", color: colour("text") },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text") } },
      xaxis: { ...axis, type: "date", range: [figure.from, figure.to], tickangle: 0, nticks: place.clientWidth < 500 ? 4 : 10 },
      yaxis: { ...axis, rangemode: "tozero", tickformat: "~s" },
    };
    Plotly.react(place, traces(figure), layout, { displayModeBar: false, responsive: true });
    place.dataset.drawn = String(Number(place.dataset.drawn || 0) + 1);
    place.dispatchEvent(new CustomEvent("drawn", { bubbles: true, detail: { figure, margin: MARGIN } }));
  }

  const all = () => document.querySelectorAll("[data-figure]").forEach(draw);
  document.addEventListener("DOMContentLoaded", all);
  document.addEventListener("htmx:afterSettle", (event) => {
    const root = event.detail.elt;
    if (root.matches("[data-figure]") || root.querySelector("[data-figure]")) all();
  });
  // A chart that leaves the page hears no more of the window's size.
  document.addEventListener("htmx:beforeCleanupElement", (event) => {
    if (event.target.classList?.contains("chart") && window.Plotly) Plotly.purge(event.target);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
