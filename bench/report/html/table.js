// The leaderboard: sorting, filtering, choosing columns. All text enters the page as text.
const make = (name, text, className) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
};
const shown = (value, digits) =>
  value === null || value === undefined ? "" : value.toLocaleString("en-US", {
    minimumFractionDigits: digits, maximumFractionDigits: digits });

const measured = (q) => ({
  key: q.key, heading: q.heading, about: q.about, down: q.better === "higher", shown: q.shown, num: true,
  value: (row) => (row.numbers[q.key] ?? [null])[0],
  cell: (row) => {
    const [mean, low, high, sd, n] = row.numbers[q.key] ?? [null];
    const nodes = [make("span", shown(mean, q.digits))];
    const ends = [low, high].map((value) => shown(value, q.digits));
    if (ends[0] !== ends[1]) {
      nodes.push(make("span", ends.join("–"), "range"));
      nodes[0].title = "mean of " + n + " seeds, sd " + shown(sd, q.digits + 1);
    }
    return nodes;
  } });

// A column: heading, about, cell(row) -> nodes, value(row) -> what to sort by, best first or not.
const columnsOf = (data) => [
  { key: "rank", heading: "Rank", about: "Place within the budget.", down: false, shown: true,
    value: (row) => row.rank, cell: (row) => [make("span", row.rank ?? "")], num: true },
  { key: "method", heading: "Method", about: "Method and marks.", down: false, shown: true, sticky: true,
    value: (row) => row.label.toLowerCase(),
    cell: (row) => {
      const nodes = [make("span", row.label), make("span", row.marks, "mark")];
      if (row.reason) nodes.push(make("span", "not ranked: " + row.reason, "why"));
      return nodes;
    } },
  { key: "budget", heading: "Budget", about: "The hard cap of the run.", down: false, shown: true,
    value: (row) => row.cap, cell: (row) => [make("span", row.budget)], num: true },
  ...data.quantities.filter((q) => q.shown).map(measured),
  ...[["best", "Δ to best", "Tukey's"], ["control", "Δ to control", "Holm's"]].map(([key, heading, whose]) => ({
    key, heading, down: true, shown: true, num: true,
    about: `Difference in NDCG@20; p-value with ${whose} correction over the rows.`,
    value: (row) => row[key].difference,
    cell: (row) => [make("span", row[key].text), ...(row[key].p ? [make("span", row[key].p, "range")] : [])] })),
  { key: "seeds", heading: "Seeds", about: "Number of seeds.", down: true, shown: true, num: true,
    value: (row) => row.runs.length, cell: (row) => [make("span", row.runs.length)] },
  ...data.quantities.filter((q) => !q.shown).map(measured),
];
const compare = (a, b, down) => {
  // What was not measured stands last, whichever way the column is sorted.
  const lost = (value) => value === null || value === undefined;
  if (lost(a) || lost(b)) return lost(a) - lost(b);
  const order = a < b ? -1 : a > b ? 1 : 0;
  return down ? -order : order;
};

const leaderboard = (data, open) => {
  const columns = columnsOf(data);
  const visible = new Set(columns.filter((c) => c.shown).map((c) => c.key));
  const table = document.getElementById("board");
  const sorting = { key: null, down: false };

  const chosen = (state) => {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = data.rows.filter((row) =>
      row.board === state.board &&
      (!state.budget || !row.budget || row.budget === state.budget) &&
      (!state.ranked || row.rank !== null) &&
      words.every((word) => (row.label + " " + row.method + " " + row.role).toLowerCase().includes(word)));
    const column = columns.find((c) => c.key === sorting.key);
    if (column) rows.sort((a, b) => compare(column.value(a), column.value(b), sorting.down));
    return rows;
  };

  const draw = (state) => {
    const heads = make("tr");
    const use = columns.filter((c) => visible.has(c.key));
    for (const column of use) {
      const head = make("th", undefined, (column.num ? "num" : "") + (column.sticky ? " sticky" : ""));
      head.scope = "col";
      head.dataset.key = column.key;
      const button = make("button", column.heading);
      button.type = "button";
      button.title = column.about;
      head.setAttribute("aria-sort",
        sorting.key !== column.key ? "none" : sorting.down ? "descending" : "ascending");
      button.addEventListener("click", () => {
        sorting.down = sorting.key === column.key ? !sorting.down : column.down;
        sorting.key = column.key;
        draw(state);
        table.querySelector(`th[data-key="${column.key}"] button`).focus();
      });
      head.append(button);
      heads.append(head);
    }
    table.tHead.replaceChildren(heads);
    const rows = chosen(state);
    let before = null;
    table.tBodies[0].replaceChildren(...rows.map((row) => {
      const line = make("tr", undefined, row.budget === "" ? "aside" : row.rank === null ? "apart" : "");
      if (!sorting.key && before !== null && before !== row.budget) line.classList.add("first");
      before = row.budget;
      line.tabIndex = 0;
      line.dataset.key = row.key;
      for (const column of use) {
        const cell = make("td", undefined, (column.num ? "num" : "") + (column.sticky ? " sticky" : ""));
        cell.append(...column.cell(row));
        line.append(cell);
      }
      line.addEventListener("click", () => open(row));
      line.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault(); // the same key would press the button that has the focus then
        open(row);
      });
      return line;
    }));
    document.getElementById("count").textContent = rows.length + (rows.length === 1 ? " row" : " rows");
  };

  const boxes = (state) => columns.map((column) => {
    const label = make("label");
    const box = make("input");
    box.type = "checkbox";
    box.checked = visible.has(column.key);
    box.addEventListener("change", () => {
      if (box.checked) visible.add(column.key); else visible.delete(column.key);
      draw(state);
    });
    label.title = column.about;
    label.append(box, make("span", column.heading));
    return label;
  });
  return { draw, boxes };
};
