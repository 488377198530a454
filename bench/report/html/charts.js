// The charts. Plotly reads a little HTML in texts, so what comes from records is escaped.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const dark = () => {
  const own = document.documentElement.dataset.theme;
  return own ? own === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const colourOf = (data, method) => {
  const style = data.styles[method];
  return dark() ? style.dark : style.colour;
};
const look = (extra) => {
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), line = css.getPropertyValue("--line").trim();
  const axis = { gridcolor: line, linecolor: ink, zeroline: false, automargin: true, showline: true };
  const layout = {
    dragmode: small.matches ? false : "zoom",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, size: 13, family: "system-ui, sans-serif" },
    margin: { l: 60, r: 12, t: 12, b: 48 }, hovermode: "closest",
    hoverlabel: { align: "left", bgcolor: css.getPropertyValue("--fill").trim(), bordercolor: line,
      font: { color: ink, size: 12 } },
    xaxis: { ...axis }, yaxis: { ...axis }, ...extra };
  Object.assign(layout.xaxis, axis, extra.xaxis);
  Object.assign(layout.yaxis, axis, extra.yaxis);
  return layout;
};
// No bar of buttons: it covers the legend. Dragging zooms, a double click resets; on a phone
// dragging must scroll the page instead.
const OPTIONS = { responsive: true, displayModeBar: false };
const small = matchMedia("(max-width: 40rem)");

const hoverText = (data, row, metric) => {
  const q = Object.fromEntries(data.quantities.map((one) => [one.key, one]));
  const of = (key) => shown((row.numbers[key] ?? [null])[0], q[key].digits);
  const [, low, high, , n] = row.numbers[metric] ?? [];
  const range = low === null || low === undefined ? "" :
    ` [${shown(low, q[metric].digits)}, ${shown(high, q[metric].digits)}]`;
  const lines = [`<b>${plain(row.label)}</b>${row.budget ? " · budget " + plain(row.budget) : ""}`,
    `${plain(q[metric].axis)} ${of(metric)}${range}, ${n} seed${n === 1 ? "" : "s"}`,
    `${of("bytes")} bytes · ${of("values")} values`];
  if (row.numbers.compression) lines.push(`${of("compression")}× smaller`);
  if (row.numbers.share) lines.push(`${of("share")} % of the ceiling's NDCG@20`);
  if (row.best.text) lines.push(plain(`to best ${row.best.text} ${row.best.p}`));
  if (row.reason) lines.push(plain("not ranked: " + row.reason));
  lines.push("runs " + row.runs.map((run) => plain(run.id)).join(", "));
  return lines.join("<br>");
};

// Every budget at the size of its largest row, where they are few enough to be read. Otherwise 1, 2
// and 5 of each decade: plotly's own marks leave out the magnitude.
const ticks = (low, high, budgets = {}) => {
  const tickvals = [], labels = Object.entries(budgets);
  for (let power = -1; power < 16; power += 1)
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (value >= low && value <= high) tickvals.push(value);
    }
  const short = (value) => String(Number(value.toPrecision(3)));
  const name = (value) => value >= 1e9 ? short(value / 1e9) + "G" : value >= 1e6 ? short(value / 1e6) + "M"
    : value >= 1e3 ? short(value / 1e3) + "k" : short(value);
  if (!labels.length || labels.length > 7) return { tickvals, ticktext: tickvals.map(name) };
  // A label that would touch an earlier one stands below it. Lengths are in pixels, on paper the
  // axis is short.
  labels.sort((one, other) => one[1] - other[1]);
  const axis = small.matches ? 270 : 400, ends = [];
  const ticktext = labels.map(([label, value]) => {
    const middle = axis * Math.log(value / low) / Math.log(high / low);
    const half = 4 * Math.max(label.length, name(value).length);
    let level = 0;
    while (ends[level] > middle - half) level += 1;
    ends[level] = middle + half;
    return "<br><br>".repeat(level) + `${name(value)}<br>${plain(label)}`;
  });
  return { tickvals: labels.map(([, value]) => value), ticktext, tickangle: 0 };
};

// The legend stands beside the chart, on a phone below it, where it needs its own room.
const beside = (entries) => small.matches
  ? { margin: { l: 60, r: 30, t: 12, b: 70 + 21 * entries },
      legend: { x: 0, y: 0, yref: "container", yanchor: "bottom", maxheight: 21 * entries + 20 } }
  : { legend: { x: 1.01, y: 1, maxheight: 21 * entries + 20 } };

const drawCurves = (data, state, open) => {
  const board = data.boards[state.board];
  const { size, metric } = state;
  const q = Object.fromEntries(data.quantities.map((one) => [one.key, one]));
  const at = (row, key) => (row.numbers[key] ?? [null])[0];
  const traces = [];
  for (const curve of board.curves) {
    const style = data.styles[curve.method], colour = colourOf(data, curve.method);
    const points = curve.points.map(([index, whole]) => [data.rows[index], whole])
      .filter(([row]) => at(row, size) && at(row, metric) !== null);
    if (!points.length) continue;
    const rows = points.map(([row]) => row);
    const spread = (place) => rows.map((row) => {
      const [mean, low, high] = row.numbers[metric];
      return low === null ? 0 : place === 2 ? high - mean : mean - low;
    });
    traces.push({
      type: "scatter", mode: "lines+markers", name: plain(curve.title), customdata: rows,
      x: rows.map((row) => at(row, size)), y: rows.map((row) => at(row, metric)),
      line: { color: colour, dash: style.dash, width: 2 },
      marker: { color: colour, size: 9,
        symbol: points.map(([, whole]) => style.symbol + (whole ? "" : "-open")) },
      error_y: { type: "data", symmetric: false, array: spread(2), arrayminus: spread(1),
        thickness: 1, width: 3, color: colour },
      text: rows.map((row) => hoverText(data, row, metric)), hovertemplate: "%{text}<extra></extra>" });
  }
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), soft = css.getPropertyValue("--soft").trim();
  const xs = traces.flatMap((trace) => trace.x);
  // One budget only: methods fill it to within a few per cent, which is no range to draw.
  const stretch = Math.max(1.15, Math.sqrt(4 / (Math.max(...xs) / Math.min(...xs))));
  const low = Math.min(...xs) / stretch, high = Math.max(...xs) * stretch;
  const lines = [[board.ceiling, "longdash"], ...board.references.map((index) => [index, "dot"])];
  for (const [index, dash] of lines) {
    const row = index === null ? null : data.rows[index];
    if (!row || at(row, metric) === null || !xs.length) continue;
    const y = at(row, metric);
    const steps = Array.from({ length: 25 }, (_, i) => low * (high / low) ** (i / 24));
    traces.push({ type: "scatter", mode: "lines", name: plain(row.label), x: steps, y: steps.map(() => y),
      customdata: steps.map(() => row), line: { color: soft, dash, width: 1.5 },
      text: steps.map(() => hoverText(data, row, metric)), hovertemplate: "%{text}<extra></extra>" });
  }
  const budgets = {};
  for (const row of traces.flatMap((trace) => trace.customdata))
    if (row.budget) budgets[row.budget] = Math.max(budgets[row.budget] ?? 0, at(row, size));
  const front = board.fronts[`${size} ${metric}`].map((index) => data.rows[index])
    .filter((row) => row.role !== "ceiling");
  traces.push({ type: "scatter", mode: "markers", name: "Pareto front", hoverinfo: "skip",
    x: front.map((row) => at(row, size)), y: front.map((row) => at(row, metric)),
    marker: { symbol: "circle-open", size: 17, color: ink, line: { width: 1.5 } } });
  const layout = look({
    xaxis: { type: "log", title: { text: q[size].axis + ", log scale" }, ...ticks(low, high, budgets),
      range: xs.length ? [Math.log10(low), Math.log10(high)] : undefined },
    yaxis: { title: { text: q[metric].axis + " (test)" }, tickformat: ".3f" },
    ...beside(traces.length) });
  const place = document.getElementById("curves");
  place.style.height = small.matches ? 380 + 21 * traces.length + "px"
    : traces.length > 16 ? 100 + 21 * traces.length + "px" : "";  // the legend has no scroll bar
  Plotly.react(place, traces, layout, OPTIONS).then(() => {
    place.removeAllListeners("plotly_click");
    place.on("plotly_click", (event) => { const row = event.points[0].customdata; if (row) open(row); });
  });
};

const drawSpend = (data, state) => {
  const board = data.boards[state.board];
  const labels = board.leaderboards.map((one) => one.label);
  const label = state.budget || labels[labels.length - 1] || "";
  const rows = data.rows.filter((row) => row.board === state.board && row.budget === label && row.rank !== null)
    .reverse();
  const total = (row) => Object.values(row.spend).reduce((a, b) => a + b, 0) || 1;
  const paper = getComputedStyle(document.documentElement).getPropertyValue("--page").trim();
  const traces = data.kinds
    .filter(([kind]) => rows.some((row) => row.spend[kind] > 0))
    .map(([kind, style]) => ({
      type: "bar", orientation: "h", name: kind, y: rows.map((row) => plain(row.label)),
      x: rows.map((row) => (100 * row.spend[kind]) / total(row)),
      marker: { color: style.colour, pattern: { shape: style.hatch, fillmode: "overlay", fgcolor: paper, fgopacity: 1, size: 6, solidity: 0.25 } },
      text: rows.map((row) => shown(row.spend[kind], 0)), textposition: "none",
      hovertemplate: "%{y}<br>" + kind + ": %{text} bytes, %{x:.1f} %<extra></extra>" }));
  document.getElementById("spent").textContent = label ? `Budget ${label}, best row first.` : "";
  const place = document.getElementById("spend");
  place.style.height = Math.max(12, 6 + 1.7 * rows.length) + "rem";
  Plotly.react(place, traces, look({
    barmode: "stack", xaxis: { title: { text: "Share of the stored bytes (%)" }, range: [0, 100] },
    yaxis: { showline: false }, legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "normal" },
    margin: { l: 60, r: 12, t: 30, b: 48 } }), OPTIONS);
};
