// Panels that stand side by side on a wide page stand one below the other on a narrow one.
(() => {
  const NARROW = 640, LINE = 19;
  const wide = new Map();

  function axes(layout, letter) {
    return Object.keys(layout).filter(key => new RegExp(`^${letter}axis\\d*$`).test(key) && !layout[key].overlaying);
  }

  function panels(layout) {  // row by row, as their titles stand
    return axes(layout, "x").map(x => ({x, y: "yaxis" + (layout[x].anchor || "y").slice(1)}))
      .sort((a, b) => layout[b.y].domain[1] - layout[a.y].domain[1] || layout[a.x].domain[0] - layout[b.x].domain[0]);
  }

  function legendLines(div, width) {
    const names = div.data.filter(trace => trace.showlegend !== false && trace.name && trace.type !== "heatmap");
    const widest = Math.max(0, ...names.map(trace => 7 * trace.name.length + 50));
    return names.length ? Math.ceil(names.length / Math.max(1, Math.floor(width / widest))) : 0;
  }

  function stack(div) {
    const layout = JSON.parse(JSON.stringify(div.layout)), found = panels(layout);
    const rows = new Set(found.map(each => layout[each.y].domain[1].toFixed(3))).size;
    const {t, b} = layout.margin, legend = LINE * legendLines(div, div.clientWidth - 70) + 45;
    const high = Math.max(150, (layout.height - t - b) / rows), total = high * found.length, gap = (found.some(each => (layout[each.x].title || {}).text) ? 66 : 42) / total;
    found.forEach((panel, place) => {
      layout[panel.x].domain = [0, 1];
      layout[panel.x].showticklabels = layout[panel.y].showticklabels = true;
      if (layout[panel.x].type === "category") Object.assign(layout[panel.x], {tickangle: 0, tickfont: {size: 9}});  // months
      layout[panel.y].domain = [1 - (place + 1) / found.length + gap / 2, 1 - place / found.length - gap / 2];
      const title = (layout.annotations || [])[place];
      if (title) Object.assign(title, {x: 0.5, y: layout[panel.y].domain[1], font: {size: 12}});
    });
    for (const key of Object.keys(layout)) {
      const over = /^yaxis\d+$/.test(key) && layout[key].overlaying;
      if (over) layout[key].domain = layout["yaxis" + over.slice(1)].domain;
    }
    Object.assign(layout.margin, {l: 44, r: 34, b: legend});
    layout.height = total + t + legend;
    show(div, layout);
  }

  function show(div, layout) {
    div.style.height = div.parentElement.style.height = `${layout.height}px`;
    Plotly.relayout(div, layout);
  }

  function arrange() {
    const narrow = document.querySelector("main").clientWidth < NARROW;
    for (const div of document.querySelectorAll(".plotly-graph-div")) {
      if (narrow && !wide.has(div)) {
        wide.set(div, JSON.stringify(div.layout));
        stack(div);
      } else if (!narrow && wide.has(div)) {
        show(div, JSON.parse(wide.get(div)));
        wide.delete(div);
      }
    }
  }

  addEventListener("load", arrange);
  addEventListener("resize", arrange);
})();
