// The console: what the server serves, how it does now, and a box to try the sample models in.
import { infer, post, get } from "/console/protocol.js";
import { showBoard } from "/console/board.js";
import { offerChat } from "/console/chat.js";

const PERIOD_MS = 1000;
const KEPT = 60; // points of a chart: one a second
const COLOURS = ["#e8552d", "#2f81d6", "#1a9e63", "#b05fd0", "#c98a00"];

const $ = (id) => document.getElementById(id);
const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

// --- what is served, and how it does -------------------------------------------------------------------------------

const tasks = new Map(); // model -> task, "" where it has none
const ready = new Map(); // task -> a model that is ready
let before = null; // {at, counts} of the poll before
const rates = [], latencies = [];

async function poll() {
  try {
    const [index, stats] = await Promise.all([post("/v2/repository/index", {}), get("/v2/models/stats")]);
    await learnTasks(index);
    const board = await get("/sla");
    show(index, stats.model_stats, performance.now());
    showBoard(board.models);
    offerChat(board.models);
    $("server").className = "ready";
  } catch (error) {
    $("server").className = "lost";
    $("server").textContent = `no answer: ${error.message}`;
  }
  setTimeout(poll, document.hidden ? 5 * PERIOD_MS : PERIOD_MS);
}

async function learnTasks(index) {
  ready.clear();
  for (const { name, state } of index) {
    if (state !== "READY") { tasks.delete(name); continue; }
    if (!tasks.has(name)) {
      const metadata = await get(`/v2/models/${encodeURIComponent(name)}`).catch(() => null);
      if (!metadata) continue;
      tasks.set(name, { task: metadata.parameters?.task ?? "", inputs: metadata.inputs });
    }
    const known = tasks.get(name);
    // Of the models of one task the one that takes bytes as they are is what a person wants to try.
    if (known.task && known.inputs.length === 1 && known.inputs[0].datatype === "BYTES" && !ready.has(known.task)) {
      ready.set(known.task, { name, input: known.inputs[0] });
    }
  }
}

function show(index, stats, at) {
  const counts = new Map(stats.map((entry) => [`${entry.name}/${entry.version}`, countsOf(entry.inference_stats)]));
  const seconds = before ? (at - before.at) / 1000 : 0;
  const total = { rate: 0, done: 0, ns: 0, ok: 0, failed: 0 };
  const rows = index.map((entry) => {
    const key = `${entry.name}/${entry.version}`;
    const now = counts.get(key);
    const then = before?.counts.get(key);
    const done = now && then && now.ok >= then.ok ? now.ok - then.ok : 0;
    const rate = seconds ? done / seconds : 0;
    total.rate += rate;
    total.done += done;
    if (done) total.ns += now.ns - then.ns;
    total.ok += now?.ok ?? 0;
    total.failed += now?.failed ?? 0;
    return row(entry, now, rate, done ? (now.ns - then.ns) / done : 0);
  });
  $("models").replaceChildren(...(rows.length ? rows : [emptyRow()]));
  $("server").textContent = `${index.filter((entry) => entry.state === "READY").length} of ${index.length} ready`;
  $("rate").textContent = total.rate.toFixed(total.rate < 10 ? 1 : 0);
  $("latency").textContent = total.done ? milliseconds(total.ns / total.done) : "–";
  $("answered").textContent = total.ok.toLocaleString();
  $("failed").textContent = total.failed.toLocaleString();
  keep(rates, total.rate);
  keep(latencies, total.done ? total.ns / total.done : 0);
  draw($("rate-chart"), rates);
  draw($("latency-chart"), latencies);
  for (const card of document.querySelectorAll(".card[data-task]")) card.hidden = !ready.has(card.dataset.task);
  $("nothing-to-try").hidden = [...document.querySelectorAll(".card")].some((card) => !card.hidden);
  before = { at, counts };
}

function countsOf(stats) {
  return { ok: Number(stats.success.count), ns: Number(stats.success.ns), failed: Number(stats.fail.count) };
}

function row(entry, now, rate, ns) {
  const state = element("span", { className: `state ${entry.state}`, textContent: entry.state.toLowerCase() });
  if (entry.state !== "READY" && entry.reason) {
    const why = element("td", { className: "why", colSpan: 5, textContent: entry.reason });
    return element("tr", {}, cell(entry.name), cell(entry.version, true), element("td", {}, state), why);
  }
  return element("tr", {}, cell(entry.name), cell(entry.version, true), element("td", {}, state),
    cell(tasks.get(entry.name)?.task ?? ""), cell(rate ? rate.toFixed(1) : "0", true),
    cell(ns ? milliseconds(ns) : "–", true), cell((now?.ok ?? 0).toLocaleString(), true),
    cell((now?.failed ?? 0).toLocaleString(), true));
}

const cell = (text, isNumber = false) => element("td", { textContent: text, className: isNumber ? "number" : "" });
const emptyRow = () => element("tr", {}, element("td", { colSpan: 8, textContent: "no models" }));
const milliseconds = (ns) => (ns < 1e6 ? `${(ns / 1e3).toFixed(0)} µs` : `${(ns / 1e6).toFixed(ns < 1e7 ? 2 : 0)} ms`);

function keep(points, value) {
  points.push(value);
  if (points.length > KEPT) points.shift();
}

function draw(canvas, points) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const top = Math.max(...points, 1e-9);
  const x = (at) => width - ((points.length - 1 - at) * width) / (KEPT - 1);
  const y = (value) => height - 2 - (value / top) * (height - 6);
  const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  pen.beginPath();
  points.forEach((value, at) => pen.lineTo(x(at), y(value)));
  pen.strokeStyle = accent;
  pen.lineWidth = 1.5;
  pen.stroke();
  pen.lineTo(width, height);
  pen.lineTo(x(0), height);
  pen.globalAlpha = 0.12;
  pen.fillStyle = accent;
  pen.fill();
}

// --- try it --------------------------------------------------------------------------------------------------------

async function ask(task, elements) {
  const model = ready.get(task);
  const shape = model.input.shape.map((extent) => (extent === -1 ? elements.length : extent));
  return infer(model.name, model.input.name, shape, elements);
}

async function run(output, work) {
  output.replaceChildren(element("span", { className: "soft", textContent: "asking" }));
  const started = performance.now();
  try {
    const shown = await work();
    const took = element("p", { className: "soft", textContent: `${(performance.now() - started).toFixed(0)} ms` });
    output.replaceChildren(...shown, took);
  } catch (error) {
    output.replaceChildren(element("span", { className: "error", textContent: error.message }));
  }
}

function onFile(drop, input, use) {
  input.addEventListener("change", () => { if (input.files[0]) use(input.files[0]); input.value = ""; });
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) use(event.dataTransfer.files[0]);
  });
}

onFile($("ocr-drop"), $("ocr-file"), (file) => run($("ocr-output"), async () => {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const canvas = $("ocr-canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  $("ocr-picture").hidden = false;
  const { text, scores, boxes } = await ask("ocr", [new Uint8Array(await file.arrayBuffer())]);
  pen.lineWidth = Math.max(2, picture.width / 400);
  const lines = text.map((line, at) => {
    const colour = COLOURS[at % COLOURS.length];
    pen.beginPath();
    for (let corner = 0; corner < 4; corner++) pen.lineTo(boxes[at * 8 + corner * 2], boxes[at * 8 + corner * 2 + 1]);
    pen.closePath();
    pen.strokeStyle = colour;
    pen.stroke();
    return element("li", {}, `${line} `, element("span", { textContent: scores[at].toFixed(3) }));
  });
  return [lines.length ? element("ol", {}, ...lines) : element("p", { textContent: "No text found." })];
}));

$("embed-card").addEventListener("submit", (event) => {
  event.preventDefault();
  run($("embed-output"), async () => {
    const encoder = new TextEncoder();
    const texts = [$("embed-one").value, $("embed-two").value].map((text) => encoder.encode(text));
    const { embedding } = await ask("embedding", texts);
    const half = embedding.length / 2;
    let dot = 0, one = 0, two = 0;
    for (let at = 0; at < half; at++) {
      dot += embedding[at] * embedding[half + at];
      one += embedding[at] ** 2;
      two += embedding[half + at] ** 2;
    }
    const likeness = dot / Math.sqrt(one * two || 1);
    const filled = element("i");
    filled.style.width = `${Math.max(0, likeness) * 100}%`;
    return [
      element("p", { className: "big", textContent: likeness.toFixed(3) }),
      element("div", { className: "bar" }, filled),
      element("p", { className: "soft", textContent: `cosine similarity of two vectors of ${half} numbers` }),
    ];
  });
});

onFile($("type-drop"), $("type-file"), (file) => run($("type-output"), async () => {
  const { label, score, description, mime_type: mime } = await ask("file-type", [new Uint8Array(await file.arrayBuffer())]);
  return [
    element("p", { className: "big", textContent: description?.[0] || label[0] }),
    element("p", { className: "soft", textContent: `${file.name}: ${label[0]}, ${mime?.[0] ?? ""}, score ${score[0].toFixed(3)}` }),
  ];
}));

for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());
poll();
