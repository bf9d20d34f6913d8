// Sorts mail into queues, in this page: what is written does not leave it.

import { Eelbert } from "./eelbert.js";

const SURE = 0.6; // below this probability a person should look

const $ = (id) => document.getElementById(id);
const model = await load();

async function load() {
  try {
    return await Eelbert.load("model.tflite");
  } catch (error) {
    $("message").textContent = error.message;
    throw error;
  }
}

/** One queue a class, each with a count. */
function addQueues(labels) {
  for (const label of labels) {
    const section = document.createElement("section");
    section.id = `queue-${label}`;
    const heading = document.createElement("h2");
    heading.textContent = label;
    section.append(heading, document.createElement("ul"));
    $("queues").append(section);
  }
}

async function sort(text) {
  const { label, scores } = await model.classify(text);
  const score = Math.max(...scores);
  const item = document.createElement("li");
  item.classList.toggle("unsure", score < SURE);
  const note = document.createElement("small");
  note.textContent = `${(100 * score).toFixed(0)} %${score < SURE ? ", please look" : ""}`;
  item.append(text, note);
  const queue = $(`queue-${label}`);
  queue.lastChild.prepend(item);
  queue.firstChild.textContent = `${label} (${queue.lastChild.children.length})`;
}

$("new").addEventListener("submit", async (event) => {
  event.preventDefault();
  await sort($("mail").value);
  $("new").reset();
  $("mail").focus();
});

addQueues(model.labels);
for (const text of await (await fetch("mails.json")).json()) await sort(text);
$("message").textContent = `${Math.round(model.bytes / 1000)} kB of model, no server`;
