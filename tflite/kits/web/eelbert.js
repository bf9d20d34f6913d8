// Classifies texts with a file from `eelbert convert`, in the browser.
//
//   const model = await Eelbert.load("model.tflite");
//   const { label, scores } = await model.classify("turn on the lights");

import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";
import { decodeSpans } from "./spans.js";
import { encode, toBytes } from "./text.js";

const START = '{"format": "eelbert", "format_version": ';
const VERSION = 1;

let runtime; // LiteRT's WebAssembly, loaded once

export class Eelbert {
  /**
   * Loads LiteRT, where this is the first model, and a model.
   *
   * @param source a URL, or the file's bytes as Uint8Array.
   * @param wasm folder of LiteRT's WebAssembly; that of the package by default.
   * @throws Error, with a message for the user, where the file is missing, damaged or not ours.
   */
  static async load(source, wasm = new URL("../wasm/", import.meta.resolve("@litertjs/core")).href) {
    const data = source instanceof Uint8Array ? source : await download(source);
    const metadata = readMetadata(data);
    await (runtime ??= loadLiteRt(wasm));
    const model = new Eelbert(await loadAndCompile(data, { accelerator: "wasm" }), metadata, data.length);
    await model.predict(""); // the first text takes long
    return model;
  }

  constructor(model, metadata, bytes) {
    this.model = model;
    this.metadata = metadata;
    this.bytes = bytes; // of the file
    const numbers = Array.from({ length: metadata.num_classes }, (_, i) => String(i));
    this.labels = metadata.labels?.length ? metadata.labels : numbers;
    const tags = metadata.tags ?? [];
    this.spanNames = tags.slice(1, 1 + (tags.length >> 1)).map((tag) => tag.slice(2)); // behind "B-"
  }

  /** The model's raw output for a text, or for a pair of texts: Float32Array, one number a class. */
  async predict(text, second = null) {
    return (await this.run(text, second))[0];
  }

  /** All outputs of the model, as typed arrays in the order of the file. */
  async run(text, second = null) {
    const { max_bytes } = this.metadata;
    const input = new Tensor(encode(text, second, max_bytes), [1, max_bytes]);
    let outputs = [];
    try {
      outputs = await this.model.run([input]);
      return outputs.map((output) => output.toTypedArray().slice());
    } finally {
      for (const output of outputs) output.delete();
      input.delete();
    }
  }

  /** The likeliest class of a text, and the probability of each class in the model's order. */
  async classify(text, second = null) {
    if (this.metadata.task === "regression") throw new Error("This model gives a number and no classes: use predict.");
    if (this.metadata.task === "tagging") throw new Error("This model finds spans: use tag.");
    const scores = softmax(await this.predict(text, second));
    const best = scores.indexOf(Math.max(...scores));
    return { label: this.labels[best], best, scores };
  }

  /**
   * The spans of a text: parts with a label, their place in the string and in its bytes, and a score. Where texts have
   * classes, `label` and `scores` as `classify` gives them.
   */
  async tag(text) {
    if (this.metadata.task !== "tagging") throw new Error("This model finds no spans: use classify or predict.");
    const { max_bytes } = this.metadata;
    const [tags, positions, label] = await this.run(text);
    const width = this.metadata.tags.length;
    const slots = Array.from({ length: positions.length / 2 }, (_, i) => i);
    const spans = decodeSpans(
      slots.map((i) => tags.subarray(i * width, (i + 1) * width)),
      slots.map((i) => [positions[2 * i], positions[2 * i + 1]]),
      this.spanNames,
      toBytes(text, null, max_bytes),
    );
    if (!label) return { spans };
    const scores = softmax(label);
    const best = scores.indexOf(Math.max(...scores));
    return { label: this.labels[best], best, scores, spans };
  }

  /** Frees the model's memory. */
  close() {
    this.model.delete();
  }
}

/** Probabilities of logits. */
export function softmax(logits) {
  const greatest = Math.max(...logits);
  const powers = Array.from(logits, (x) => Math.exp(x - greatest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((x) => x / sum);
}

/** What a file says of itself: labels, limits, task. The whole file is checked first: damage could crash LiteRT. */
export function readMetadata(data) {
  const latin = new TextDecoder("latin1").decode(data); // finds bytes fast
  const start = latin.indexOf(START);
  if (latin.slice(4, 8) !== "TFL3" || start < 4) {
    throw new Error("This is not a file that eelbert convert wrote, or it is damaged.");
  }
  const length = new DataView(data.buffer, data.byteOffset).getUint32(start - 4, true);
  let metadata;
  try {
    metadata = JSON.parse(new TextDecoder().decode(data.subarray(start, start + length)));
  } catch {
    throw new Error("The file is damaged: its metadata cannot be read.");
  }
  if (metadata.format_version !== VERSION) {
    throw new Error(`The file has format version ${metadata.format_version}; this page reads version ${VERSION}.`);
  }
  const sum = latin.indexOf('"crc32": "', start) + 10;
  const blank = data.slice();
  blank.fill(0x2d, sum, sum + 8); // "--------" stood there when the checksum was made
  if (metadata.file_bytes !== data.length || parseInt(metadata.crc32, 16) !== crc32(blank)) {
    throw new Error("The file is damaged: its size or checksum differs. Copy or convert it again.");
  }
  return metadata;
}

function crc32(data) {
  const table = Uint32Array.from({ length: 256 }, (_, i) => {
    for (let bit = 0; bit < 8; bit++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1;
    return i;
  });
  let crc = -1;
  for (const byte of data) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

async function download(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
