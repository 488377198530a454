// Backbones side by side: accuracy as a share of each backbone's own ceiling.
const sideBySide = (data, state) => data.backbones.find((one) => one.boards.includes(state.board));

const shareOf = (data, side, index, metric) => {
  const of = (place) => (data.rows[place].numbers[metric] ?? [null])[0];
  const mine = of(index), top = of(side.ceiling);
  return mine === null || !top ? null : (100 * mine) / top;
};

const drawBackbonesTable = (data, state) => {
  const one = sideBySide(data, state);
  byId("backbones").hidden = !one;
  if (!one) return;
  byId("backbones-about").textContent = one.about;
  const q = data.quantities.find((each) => each.key === state.metric);
  byId("backbones-hint").textContent = `${q.axis} in percent of that of the backbone's own full table. ` +
    "‡ not better than the reference ranking by it. * seeds missing.";
  const head = make("tr");
  head.append(make("th", "Budget", "num"), make("th", "Method"));
  for (const side of one.sides) head.append(make("th", side.title, "num"));
  const table = byId("backbones-table");
  table.tHead.replaceChildren(head);
  const line = (budget, title, cells) => {
    const row = make("tr");
    row.append(make("td", budget, "num"), make("td", title));
    for (const text of cells) row.append(make("td", text, "num"));
    return row;
  };
  const full = line("", "Full table (100 %)", one.sides.map((side) =>
    shown((data.rows[side.ceiling].numbers[state.metric] ?? [null])[0], q.digits)));
  const floor = (side) => Math.max(-1, ...side.references.map((index) => shareOf(data, side, index, state.metric) ?? -1));
  const references = one.sides[0].references.map((_, number) => line("", data.rows[one.sides[0].references[number]].label,
    one.sides.map((side) => side.references[number] === undefined ? "" :
      shown(shareOf(data, side, side.references[number], state.metric), 1))));
  // By rows, not labels: the same bytes may be another share on the board of another table.
  const asked = (each) => !state.budget || one.sides.some((side) => side.points.some((p) =>
    p.budget === each.key && data.rows[p.row].budget === state.budget));
  const rows = one.budgets.filter(asked).flatMap((each) =>
    each.methods.map(([method, title]) => line(each.label, title, one.sides.map((side) => {
      const point = side.points.find((p) => p.budget === each.key && p.method === method);
      const share = point ? shareOf(data, side, point.row, state.metric) : null;
      if (share === null) return "";
      return shown(share, 1) + (share <= floor(side) ? "‡" : "") + (point.complete ? "" : "*");
    }))));
  table.tBodies[0].replaceChildren(full, ...references, ...rows);
};

const drawBackbones = (data, state, open) => {
  const one = sideBySide(data, state);
  if (!one) return;
  const { size, metric } = state;
  const q = Object.fromEntries(data.quantities.map((each) => [each.key, each]));
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), soft = css.getPropertyValue("--soft").trim();
  const at = (index) => (data.rows[index].numbers[size] ?? [null])[0];
  const columns = small.matches ? 1 : Math.min(2, one.sides.length);
  const tall = Math.ceil(one.sides.length / columns);
  const gap = 0.06, room = (small.matches ? 90 : 70) / (tall * 260);
  const every = one.sides.flatMap((side) => side.points.map((p) => at(p.row))).filter((value) => value);
  const stretch = Math.max(1.15, Math.sqrt(4 / (Math.max(...every) / Math.min(...every))));
  const low = Math.min(...every) / stretch, high = Math.max(...every) * stretch;
  const traces = [], named = new Set(), axes = {}, notes = [];
  one.sides.forEach((side, number) => {
    const tail = number ? String(number + 1) : "";
    const column = number % columns, line = Math.floor(number / columns);
    const wide = (1 - gap * (columns - 1)) / columns, tallness = (1 - room * (tall - 1)) / tall;
    const x = [column * (wide + gap), column * (wide + gap) + wide];
    const top = 1 - line * (tallness + room);
    const last = number + columns >= one.sides.length;
    axes["xaxis" + tail] = { type: "log", domain: x, anchor: "y" + tail, range: [Math.log10(low), Math.log10(high)],
      ...ticks(low, high), ...(last ? { title: { text: q[size].axis + ", log scale" } } : {}) };
    axes["yaxis" + tail] = { domain: [Math.max(0, top - tallness), top], anchor: "x" + tail, rangemode: "tozero",
      ...(number ? { matches: "y" } : {}), showticklabels: column === 0,
      ...(column === 0 ? { title: { text: "kept (%)" } } : {}) };
    notes.push({ text: `<b>${plain(side.title)}</b>`, x: x[0], y: top, xref: "paper", yref: "paper",
      xanchor: "left", yanchor: "bottom", showarrow: false });
    const flat = (share, label, dash, index) => traces.push({ type: "scatter", mode: "lines", name: plain(label),
      legendgroup: label, showlegend: !named.has(label) && Boolean(named.add(label)), xaxis: "x" + tail, yaxis: "y" + tail,
      x: [low, high], y: [share, share], customdata: [data.rows[index], data.rows[index]],
      line: { color: soft, dash, width: 1.5 }, hovertemplate: `${plain(label)}: %{y:.1f} %<extra></extra>` });
    flat(100, "Full table", "longdash", side.ceiling);
    for (const index of side.references) {
      const share = shareOf(data, side, index, metric);
      if (share !== null) flat(share, data.rows[index].label, "dot", index);
    }
    for (const [method, title] of one.methods) {
      const points = side.points.filter((p) => p.method === method && at(p.row) && shareOf(data, side, p.row, metric) !== null)
        .sort((a, b) => at(a.row) - at(b.row));
      if (!points.length) continue;
      const style = data.styles[method], colour = colourOf(data, method);
      const rows = points.map((p) => data.rows[p.row]);
      traces.push({ type: "scatter", mode: "lines+markers", name: plain(title), legendgroup: title,
        showlegend: !named.has(title) && Boolean(named.add(title)), xaxis: "x" + tail, yaxis: "y" + tail,
        x: points.map((p) => at(p.row)), y: points.map((p) => shareOf(data, side, p.row, metric)), customdata: rows,
        line: { color: colour, dash: style.dash, width: 2 },
        marker: { color: colour, size: 8, symbol: points.map((p) => style.symbol + (p.complete ? "" : "-open")) },
        text: points.map((p, i) => `<b>${plain(title)}</b> · ${plain(side.title)} · budget ${plain(p.label)}<br>` +
          `${shown(shareOf(data, side, p.row, metric), 1)} % of the full table's ${plain(q[metric].axis)}<br>` +
          `${shown((rows[i].numbers.bytes ?? [null])[0], 0)} bytes`),
        hovertemplate: "%{text}<extra></extra>" });
    }
  });
  const place = byId("backbones-chart");
  place.style.height = 90 + tall * 260 + (small.matches ? 21 * named.size : 0) + "px";
  const layout = look({ annotations: notes, ...beside(named.size) });
  layout.margin = { ...layout.margin, t: 30, ...(small.matches ? {} : { b: 60 }) };
  const shared = { gridcolor: layout.xaxis.gridcolor, linecolor: ink, zeroline: false, automargin: true, showline: true };
  for (const [name, axis] of Object.entries(axes)) layout[name] = { ...shared, ...axis };
  Plotly.react(place, traces, layout, OPTIONS).then(() => {
    place.removeAllListeners("plotly_click");
    place.on("plotly_click", (event) => { const row = event.points[0].customdata; if (row) open(row); });
  });
};
