// What is chosen, and who must be redrawn for it.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const state = { board: 0, metric: "ndcg@20", size: "bytes", budget: "", search: "", ranked: false };
let plotly = false;

const fill = (select, options, value) => {
  select.replaceChildren(...options.map(([key, text]) => {
    const option = make("option", text);
    option.value = key;
    return option;
  }));
  select.value = value;
};
const pairs = (fields) => {
  const table = make("table"), body = table.createTBody();
  for (const [key, value] of Object.entries(fields)) {
    const line = body.insertRow();
    line.append(make("th", key), make("td", value));
  }
  return table;
};

const open = (row) => {
  const place = byId("details");
  const board = data.boards[row.board];
  const titled = (text, ...nodes) => nodes.some((node) => node.textContent) ? [make("h3", text), ...nodes] : [];
  const runs = make("table");
  const head = runs.createTHead().insertRow();
  for (const text of ["Seed", "NDCG@20", "Recall@20", "Run", "Finished"]) head.append(make("th", text));
  const body = runs.createTBody();
  for (const run of row.runs) {
    const line = body.insertRow();
    for (const text of [run.seed, shown(run.ndcg, 4), shown(run.recall, 4), run.path, run.finished])
      line.append(make("td", text));
  }
  const wide = make("div", undefined, "scroll");
  wide.append(runs);
  const commands = row.runs.filter((run) => run.command).map((run) => make("pre", run.command));
  const measured = {};
  for (const q of data.quantities) {
    const number = row.numbers[q.key];
    if (number) measured[q.heading] = shown(number[0], q.digits) +
      (number[1] !== null ? ` [${shown(number[1], q.digits)}, ${shown(number[2], q.digits)}]` : "");
  }
  const facts = { "Data and backbone": board.title };
  if (board.note) facts.Note = board.note;
  Object.assign(facts, {
    Budget: row.budget ? `${row.budget}, at most ${shown(row.cap, 0)}` : "none",
    "Rank in its budget": row.rank ?? (row.reason ? "not ranked: " + row.reason : "stands aside"),
    Structure: row.outcome, Paper: row.paper, Revision: row.revision, Phases: row.phases });
  if (row.runs.some((run) => run.shared)) facts.Timings = "left out: other runs shared the machine";
  place.replaceChildren(make("h2", row.label), pairs(facts),
    ...titled("Reproduce", ...commands), ...titled("Runs", wide),
    ...titled("Method configuration", pairs(row.config)), ...titled("Training", pairs(row.training)),
    ...titled("Protocol", pairs(row.protocol)), ...titled("Measured", pairs(measured)),
    ...titled("Machine", pairs(row.runs[0].env)));
  byId("record").showModal();
  byId("record").scrollTop = 0;
};

const table = leaderboard(data, open);
const drawTable = () => table.draw(state);
const drawCharts = () => { if (plotly && data.boards.length) { drawCurves(data, state, open); drawSpend(data, state); drawBackbones(data, state, open); } };
const drawBoard = () => {
  const board = data.boards[state.board];
  for (const node of document.querySelectorAll(".about")) node.hidden = Number(node.dataset.board) !== state.board;
  state.budget = board.leaderboards.some((one) => one.label === state.budget) ? state.budget : "";
  fill(byId("budget"), [["", "all"], ...board.leaderboards.map((one) => [one.label, one.title])], state.budget);
  byId("hash").textContent = board.protocol.hash;
  byId("protocol").replaceChildren(...pairs(board.protocol.fields).children);
  byId("ranking").hidden = !board.ranking;
  if (board.ranking) {
    byId("ranks").tBodies[0].replaceChildren(...board.ranking.rows.map(([name, rank]) => {
      const line = make("tr");
      line.append(make("td", name), make("td", shown(rank, 2), "num"));
      return line;
    }));
    document.querySelector("#ranking .hint").textContent = board.ranking.text;
  }
};
const drawNotes = () => {
  const leaderboards = data.boards[state.board].leaderboards.filter((one) => !state.budget || one.label === state.budget);
  byId("winners").replaceChildren(...leaderboards.filter((one) => one.winner).map((one) => make("li", one.winner)));
  byId("notes").replaceChildren(...leaderboards.flatMap((one) =>
    one.notes.map((note) => make("li", `Budget ${one.label}: ${note}`))));
};
// What is chosen stands in the address, behind the #; what is as usual is left out.
const usual = { ...state };
const remember = () => {
  const chosen = new URLSearchParams();
  for (const key of ["metric", "size", "budget", "search", "ranked"])
    if (state[key] !== usual[key]) chosen.set(key, state[key]);
  chosen.set("board", data.boards[state.board].slug);
  history.replaceState(null, "", "#" + chosen);
};
const recall = () => {
  const chosen = new URLSearchParams(location.hash.slice(1));
  const known = { metric: data.metrics, size: data.sizes };
  for (const key of ["metric", "size", "budget", "search"]) {
    const value = chosen.get(key) ?? usual[key];
    state[key] = !known[key] || known[key].includes(value) ? value : usual[key];
  }
  state.ranked = chosen.get("ranked") === "true";
  state.board = Math.max(0, data.boards.findIndex((board) => board.slug === chosen.get("board")));
  for (const [id, key] of [["which", "board"], ["metric", "metric"], ["size", "size"], ["search", "search"]])
    byId(id).value = state[key];
  byId("ranked").checked = state.ranked;
};
const drawBackbonesRows = () => drawBackbonesTable(data, state);
const drawAll = () => { drawBoard(); drawTable(); drawNotes(); drawBackbonesRows(); drawCharts(); };

const start = () => {
  const label = Object.fromEntries(data.quantities.map((q) => [q.key, q.axis]));
  fill(byId("which"), data.boards.map((board, index) => [index, board.title]), 0);
  fill(byId("metric"), data.metrics.map((key) => [key, label[key]]), state.metric);
  fill(byId("size"), data.sizes.map((key) => [key, label[key]]), state.size);
  byId("columns").replaceChildren(...table.boxes(state));
  recall();
  window.addEventListener("hashchange", () => { recall(); drawAll(); });
  for (const id of ["choice", "filters"])
    for (const kind of ["change", "input"]) byId(id).addEventListener(kind, remember);
  byId("which").addEventListener("change", (event) => { state.board = Number(event.target.value); drawAll(); });
  for (const name of ["metric", "size"])
    byId(name).addEventListener("change", (event) => { state[name] = event.target.value; drawBackbonesRows(); drawCharts(); });
  byId("budget").addEventListener("change", (event) => {
    state.budget = event.target.value; drawTable(); drawNotes(); drawBackbonesRows(); drawCharts(); });
  byId("search").addEventListener("input", (event) => { state.search = event.target.value; drawTable(); });
  byId("ranked").addEventListener("change", (event) => { state.ranked = event.target.checked; drawTable(); });
  byId("record").addEventListener("click", (event) => { if (event.target === byId("record")) byId("record").close(); });
  drawAll();
};

// The chart library is stored compressed; a browser too old to unpack it still has the tables.
const unpack = async () => {
  const packed = Uint8Array.from(atob(byId("plotly").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const script = make("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  plotly = true;
  drawCharts();
};

byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = dark() ? "light" : "dark";
  drawCharts();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
small.addEventListener("change", drawCharts);
if (data.boards.length) {
  start();
  if (typeof DecompressionStream === "undefined")
    for (const node of document.querySelectorAll(".chart"))
      node.textContent = "This browser cannot unpack the charts; the table has the same numbers.";
  else unpack();
} else for (const node of document.querySelectorAll("#choice, main > section:not(#about)")) node.hidden = true;
