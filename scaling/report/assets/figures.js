// Draws the figures of a report with plotly, each when it comes near the window, in the colours of the reader's theme.
"use strict";
(() => {
  const { figures, notes, dark } = JSON.parse(document.getElementById("figure-data").textContent);
  const night = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)");

  // "#rrggbb" or "#rrggbb/opacity", anywhere in plotly's data, to the theme's colour.
  function themed(value) {
    if (Array.isArray(value)) return value.map(themed);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, themed(inner)]));
    }
    const found = typeof value === "string" && /^(#[0-9a-f]{6})(?:\/([\d.]+))?$/.exec(value);
    if (!found) return value;
    const colour = night.matches ? dark[found[1]] || found[1] : found[1];
    const [red, green, blue] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    return `rgba(${red},${green},${blue},${found[2] || 1})`;
  }

  function draw(place) {
    const figure = figures[place.dataset.figure];
    const data = figure.data.map(({ notes: own, ...trace }) =>
      themed(own ? { ...trace, text: own.map((i) => notes[i]) } : trace),
    );
    const layout = themed(figure.layout);
    // A finger scrolls the page; a mouse zooms, and a double click takes it back.
    layout.dragmode = touch.matches ? false : "zoom";
    layout.hoverlabel.bgcolor = night.matches ? "#33373d" : "#ffffff";
    layout.hoverlabel.font = { color: night.matches ? "#e8e9eb" : "#222222", size: 12 };
    place.classList.add("drawn");
    return Plotly.react(place, data, layout, { displayModeBar: false, responsive: true, doubleClick: "reset" });
  }

  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        draw(target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const place of document.querySelectorAll(".live[data-figure]")) {
    place.style.minHeight = `${figures[place.dataset.figure].layout.height}px`;
    near.observe(place);
  }
  night.addEventListener("change", () => document.querySelectorAll(".live.drawn").forEach(draw));
})();
