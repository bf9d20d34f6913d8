// Classifies texts with a file from `eelbert convert`, in the browser.
//
//   const model = await Eelbert.load("model.tflite");
//   const { label, scores } = await model.classify("turn on the lights");

import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";
import { crc32, readMetadata } from "./metadata.js";
import { answer, decide, names, probabilities, softmax } from "./scores.js";
import { decodeSpans } from "./spans.js";
import { fit, inputs, toBytes } from "./text.js";

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
    const model = new Eelbert(await loadAndCompile(data, { accelerator: "wasm" }), metadata, data);
    await model.predict(""); // the first text takes long
    return model;
  }

  constructor(model, metadata, data) {
    this.model = model;
    this.metadata = metadata;
    this.bytes = data.length; // of the file
    this.crc32 = crc32(data); // by which an index knows its model
    this.labels = names(metadata); // null stands for none of the classes
    const tags = metadata.tags ?? [];
    this.spanNames = tags.slice(1, 1 + (tags.length >> 1)).map((tag) => tag.slice(2)); // behind "B-"
  }

  /**
   * The model's raw output for a text, or for a pair of texts: Float32Array of logits, or of a regression's numbers. Of a
   * text that is read in several windows it is their mean.
   */
  async predict(text, second = null) {
    const windows = inputs(text, second, this.metadata);
    if (windows.length === 1) return (await this.run(windows[0]))[0];
    const mean = new Array(this.metadata.num_classes).fill(0);
    for (const window of windows) {
      (await this.run(window))[0].forEach((x, i) => (mean[i] += window.share * x));
    }
    return Float32Array.from(mean);
  }

  /** The embedding of a text, or of a pair of texts: Float32Array of length 1 as a vector. */
  async embed(text, second = null) {
    if (this.metadata.task !== "embedding") throw new Error("This model gives no embeddings.");
    return this.predict(text, second);
  }

  /** All outputs of the model for what `fit` of text.js gives, as typed arrays in the order of the file. */
  async run({ input: bytes, signature }) {
    const input = new Tensor(bytes, [1, bytes.length]);
    let outputs = [];
    try {
      outputs = await this.model.run(signature, [input]);
      return outputs.map((output) => output.toTypedArray().slice());
    } finally {
      for (const output of outputs) output.delete();
      input.delete();
    }
  }

  /**
   * The class of a text and its number, null and -1 where it has none; the names of all its classes, where there may be
   * several; and the probability of each class in the model's order.
   */
  async classify(text, second = null) {
    if (this.metadata.task === "tagging") throw new Error("This model finds spans: use tag.");
    const scores = probabilities(await this.predict(text, second), this.metadata);
    const given = decide(scores, this.metadata).filter((i) => this.labels[i] !== null);
    const [best = -1] = given;
    return { label: this.labels[best] ?? null, best, labels: given.map((i) => this.labels[i]), scores };
  }

  /** What is said of a text, in one form for every task: see scores.js. */
  async answer(text, second = null) {
    if (this.metadata.task === "tagging") return this.tag(text);
    return answer(await this.predict(text, second), this.metadata);
  }

  /**
   * The spans of a text: parts with a label, their place in the string and in its bytes, and a score. Where texts have
   * classes, `label` and `scores` as `classify` gives them.
   */
  async tag(text) {
    if (this.metadata.task !== "tagging") throw new Error("This model finds no spans: use classify or predict.");
    const bytes = toBytes(text, null, this.metadata.max_bytes);
    const [tags, positions, label] = await this.run(fit(bytes, this.metadata));
    const width = this.metadata.tags.length;
    const slots = Array.from({ length: positions.length / 2 }, (_, i) => i);
    const spans = decodeSpans(
      slots.map((i) => tags.subarray(i * width, (i + 1) * width)),
      slots.map((i) => [positions[2 * i], positions[2 * i + 1]]),
      this.spanNames,
      bytes,
    );
    if (!label) return { spans };
    const scores = softmax(label);
    const best = scores.indexOf(Math.max(...scores));
    return { label: this.labels[best], best, labels: [this.labels[best]], scores, spans };
  }

  /** Frees the model's memory. */
  close() {
    this.model.delete();
  }
}

async function download(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
