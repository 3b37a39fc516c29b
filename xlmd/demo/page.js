"use strict";

const $ = (id) => document.getElementById(id);
const PAUSE = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 450; // milliseconds between two iterations
const ENGINES = { onnx: "ONNX Runtime", onnx_int8: "ONNX Runtime, int8" };
let runs = [];
let latest = 0; // the number of the request that is shown

async function asked(path, options) {
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function element(name, classes, text) {
  const made = document.createElement(name);
  made.className = classes;
  made.textContent = text;
  return made;
}

function cell({ piece, kind, probability, predicted, kept }) {
  const shown = kind === "blank" ? "·" : piece.replaceAll("▁", " ").trim() || "␣";
  const made = element("td", ["cell", kind, kept ? "kept" : "", predicted ? "" : "old"].join(" "), shown);
  made.style.backgroundColor = `rgb(11 92 143 / ${probability / 2})`;
  made.title = `${kind === "blank" ? "blank" : piece}, probability ${probability.toFixed(3)}`;
  return made;
}

function addRow(iteration, number) {
  const cells = document.createElement("tr");
  cells.append(element("th", "", `${number} · ${iteration.milliseconds.toFixed(1)} ms`), ...iteration.cells.map(cell));
  const text = document.createElement("tr");
  const collapsed = element("td", "text", iteration.translation);
  collapsed.colSpan = iteration.cells.length;
  text.append(element("th", "", ""), collapsed);
  $("alignment").tBodies[0].append(cells, text);
}

async function show(answer, request) {
  $("alignment").tBodies[0].replaceChildren();
  $("result").hidden = false;
  for (const [number, iteration] of answer.iterations.entries()) {
    if (number) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    if (request !== latest) return;
    addRow(iteration, number + 1);
    $("translation").textContent = iteration.translation;
  }
}

async function translate() {
  const request = ++latest;
  const run = Number($("run").value);
  const body = JSON.stringify({ text: $("text").value, run, iterations: Number($("iterations").value) });
  $("error").hidden = true;
  try {
    const answer = await asked("translate", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (request !== latest) return;
    const { engine } = runs[run];
    const total = `${answer.milliseconds.toFixed(1)} ms in ${ENGINES[engine] ?? engine}`;
    $("time").textContent = `T = ${answer.iterations.length}, ${answer.iterations[0].cells.length} positions, ${total}`;
    await show(answer, request);
  } catch (error) {
    $("result").hidden = true;
    $("error").textContent = error.message;
    $("error").hidden = false;
  }
}

function chosen() {
  const once = runs[Number($("run").value)].one_iteration;
  $("iterations").disabled = once;
}

async function start() {
  const known = await asked("runs");
  runs = known.runs;
  $("run").append(...runs.map((run, number) => new Option(run.name, number)));
  $("text").maxLength = known.most_characters;
  $("iterations").max = known.most_iterations;
  $("run").addEventListener("change", chosen);
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    translate();
  });
  // A link can carry what is to be shown: /?text=…&iterations=4&run=0
  const given = new URLSearchParams(location.search);
  for (const name of ["run", "iterations", "text"]) if (given.has(name)) $(name).value = given.get(name);
  chosen();
  if (given.has("text")) translate();
}

start();
