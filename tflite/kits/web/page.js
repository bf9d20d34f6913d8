// The page: classifies as one types, and shows what the model reads and what it says.

import { Eelbert } from "./eelbert.js";
import { read, utf8 } from "./text.js";

const MODEL = "model.tflite";
const EXAMPLES = "examples.json"; // a list of texts for that model; the page does without
const MOST_BARS = 10; // of more classes the likeliest are shown
const NONE = "none of these";
const TIMES = 15; // a time is the median of so many texts

const $ = (id) => document.getElementById(id);
const [text, second] = [$("text"), $("second")];
const decoder = new TextDecoder();

let model = null;
let times = [];
let busy = false;
let changed = false;

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

function show(loaded) {
  model?.close();
  model = loaded;
  times = [];
  const { metadata, labels } = model;
  $("size").textContent = `${Math.round(model.bytes / 1000)} kB`;
  $("time").textContent = "–";
  const isNumber = ["regression", "embedding"].includes(metadata.task);
  const numbers = metadata.num_classes > 1 ? `${metadata.num_classes} numbers` : "one number";
  $("classes").textContent = isNumber ? numbers : labels.filter((label) => label !== null).length;
  $("pair").hidden = !metadata.pair;
  const bars = labels.slice(0, isNumber ? 0 : MOST_BARS).map(() => {
    const bar = element("div", "bar");
    const track = element("div", "track", bar);
    track.setAttribute("role", "meter");
    track.setAttribute("aria-valuemin", 0);
    track.setAttribute("aria-valuemax", 1);
    return element("li", "", element("span", "name"), element("span", "share"), track);
  });
  $("bars").replaceChildren(...bars);
  say("");
  update();
}

/** Buttons that fill in a text. The first is filled in, and selected: what is typed takes its place. */
function offer(examples) {
  const buttons = examples.map((example) => {
    const button = element("button", "", example);
    button.type = "button";
    button.addEventListener("click", () => fill(example));
    return button;
  });
  $("examples").replaceChildren(...buttons);
  $("examples").hidden = !examples.length;
  if (examples.length && !text.value) fill(examples[0]);
}

function fill(example) {
  text.value = example;
  text.focus();
  text.select();
  update();
}

function say(message, quiet = false) {
  $("message").textContent = message;
  $("message").classList.toggle("quiet", quiet);
}

/** Classifies what is typed; where more is typed meanwhile, once again. */
async function update() {
  changed = true;
  if (busy || !model) return;
  busy = true;
  try {
    while (changed) {
      changed = false;
      await once(model, text.value, model.metadata.pair ? second.value : null);
    }
  } catch (error) {
    say(error.message);
  } finally {
    busy = false;
  }
}

async function once(model, a, b) {
  const nothing = !a && !b;
  const isNumber = ["regression", "embedding"].includes(model.metadata.task);
  showWords(model.metadata, a, b);
  const begin = performance.now();
  const isTagger = model.metadata.task === "tagging";
  const result = await (isNumber ? model.predict(a, b) : isTagger ? model.tag(a) : model.classify(a, b));
  const time = performance.now() - begin;
  $("answer").classList.toggle("none", nothing);
  if (isNumber) setAnswer(nothing ? "–" : numbersOf(model.labels, result));
  if (!isNumber && result.scores) showScores(model.labels, nothing ? null : result);
  if (isTagger) setAnswer(nothing ? "–" : spansAsText(result, a));
  showSpans(isTagger && !nothing ? result.spans : [], model.spanNames, a);
  if (!nothing) showTime(time);
}

/** "alarm: time = nine am" */
function spansAsText({ label, spans }, text) {
  const named = spans.map((span) => `${span.label} = ${text.slice(span.start, span.end)}`).join(", ") || "–";
  return label ? `${label}: ${named}` : named;
}

/** The text with its spans in the colours of their names. */
function showSpans(spans, names, text) {
  const parts = [];
  let end = 0;
  for (const span of spans) {
    const mark = element("mark", "", text.slice(span.start, span.end), element("small", "", span.label));
    mark.style.setProperty("--hue", Math.round((360 * names.indexOf(span.label)) / names.length + 170) % 360);
    parts.push(text.slice(end, span.start), mark);
    end = span.end;
  }
  $("marked").replaceChildren(...(spans.length ? [...parts, text.slice(end)] : []));
}

/** A screen reader reads it out whenever it is set. */
function setAnswer(answer) {
  if ($("answer").textContent !== answer) $("answer").textContent = answer;
}

function showTime(milliseconds) {
  times = [...times, milliseconds].slice(-TIMES);
  const median = [...times].sort((x, y) => x - y)[times.length >> 1];
  $("time").textContent = `${median.toFixed(1)} ms`;
}

/** A regression's number, or its numbers by name; of an embedding the first ones. */
function numbersOf(labels, values) {
  if (!labels.length) return `${[...values.slice(0, MOST_BARS)].map((value) => value.toFixed(2)).join(", ")}, …`;
  if (labels.length === 1) return values[0].toFixed(3);
  return labels.map((label, i) => `${label} ${values[i].toFixed(3)}`).join(", ");
}

/** Bars in the model's order, so that they stay where they are; empty where nothing is typed. */
function showScores(names, result) {
  const labels = names.map((name) => name ?? NONE);
  const scores = result?.scores ?? labels.map(() => 0);
  let order = labels.map((_, i) => i);
  if (labels.length > MOST_BARS) order = order.sort((i, j) => scores[j] - scores[i]).slice(0, MOST_BARS);
  setAnswer(result ? result.labels.join(", ") || NONE : "–");
  [...$("bars").children].forEach((row, k) => {
    const [name, share, track] = row.children;
    const score = scores[order[k]];
    name.textContent = labels[order[k]];
    share.textContent = !result ? "" : `${(100 * score).toFixed(1)} %`;
    track.setAttribute("aria-label", labels[order[k]]);
    track.setAttribute("aria-valuenow", score);
    track.setAttribute("aria-valuetext", share.textContent);
    track.firstChild.style.transform = `translateX(${100 * (score - 1)}%)`;
    row.classList.toggle("best", result?.labels.includes(names[order[k]]) ?? false);
  });
}

function showWords(metadata, a, b) {
  const { words, truncated, windows } = read(a, b, metadata);
  const chip = (word) => element("span", "", decoder.decode(Uint8Array.from(word)));
  const [first, other] = words.map((list) => (list ?? []).map(chip));
  const between = other.length ? [element("span", "between", "|")] : [];
  $("words").replaceChildren(...first, ...between, ...other);
  const slots = first.length + other.length + (words[1] ? 3 : 2);
  const bytes = utf8(a).length + (b === null ? 0 : 1 + utf8(b).length);
  const one = `${slots} of ${metadata.max_tokens} tokens, ${bytes} of ${metadata.max_bytes} bytes`;
  const room = windows > 1 ? `${windows} of ${metadata.max_windows} windows, ${bytes} bytes` : one;
  $("room").textContent = a || b ? room : "";
  $("truncated").textContent = truncated ? "Longer than this model reads: the words above are all it sees." : "";
}

async function open(source) {
  say("Loading the model…", true);
  try {
    show(await Eelbert.load(source));
  } catch (error) {
    say(error.message);
  }
}

async function openFile(file) {
  if (!file) return;
  offer([]); // those that are there belong to another model
  open(new Uint8Array(await file.arrayBuffer()));
}

async function openFirst() {
  const examples = fetch(EXAMPLES).then((found) => (found.ok ? found.json() : []));
  await open(MODEL);
  offer(await examples.catch(() => []));
}

text.addEventListener("input", update);
second.addEventListener("input", update);
$("file").addEventListener("change", (event) => openFile(event.target.files[0]));

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  openFile(event.dataTransfer.files[0]);
});

openFirst();
