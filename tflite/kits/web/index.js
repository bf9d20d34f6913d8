// Searches an index that `eelbert index` wrote: docs/embeddings.md is the specification.
//
//   const index = new Index(bytes, model.crc32);
//   const [best] = index.search(await model.embed("how do I pay?"));

import { crc32 } from "./metadata.js";

const [HEADER, OWN_CRC] = [32, 16];
const VERSION = 1;
const UNIT = 127;

export class Index {
  /**
   * @param data the file as Uint8Array.
   * @param modelCrc32 `crc32` of the model that searches.
   * @throws Error, with a message for the user, where the file is no index, damaged, or of another model.
   */
  constructor(data, modelCrc32) {
    const head = new DataView(data.buffer, data.byteOffset, data.length);
    if (data.length < HEADER || new TextDecoder("latin1").decode(data.subarray(0, 8)) !== "eelindex") {
      throw new Error("This is not a file that eelbert index wrote.");
    }
    const [version, size, crc, madeWith, count, width] = Array.from({ length: 6 }, (_, i) => head.getUint32(8 + 4 * i, true));
    if (version !== VERSION) throw new Error(`The index has version ${version}; this page reads version ${VERSION}.`);
    const blank = data.slice();
    blank.fill(0, OWN_CRC, OWN_CRC + 4);
    if (size !== data.length || crc !== crc32(blank)) {
      throw new Error("The index is damaged: its size or checksum differs. Copy or make it again.");
    }
    if (madeWith !== modelCrc32) throw new Error("The index was made with another model: make it again.");
    const rows = HEADER + 4 * (2 * count + 1);
    this.length = count;
    this.width = width;
    this.vectors = new Int8Array(data.buffer, data.byteOffset + rows, count * width);
    const strings = rows + count * width;
    const end = (i) => strings + head.getUint32(HEADER + 4 * i, true);
    this.string = (i) => new TextDecoder().decode(data.subarray(end(i), end(i + 1)));
  }

  /**
   * The nearest texts, the nearest first: `id` from 0, `score`, `text` and `label`, which is "" where there is none.
   *
   * @param embedding what `embed` of the model gave.
   */
  search(embedding, top = 5) {
    const wanted = quantize(embedding, this.width);
    const products = Int32Array.from({ length: this.length }, (_, id) => {
      const row = this.vectors.subarray(id * this.width, (id + 1) * this.width);
      return row.reduce((sum, number, i) => sum + number * wanted[i], 0);
    });
    const ids = Array.from(products.keys()).sort((a, b) => products[b] - products[a] || a - b);
    return ids.slice(0, top).map((id) => ({
      id,
      score: products[id] / UNIT ** 2,
      text: this.string(2 * id),
      label: this.string(2 * id + 1),
    }));
  }
}

/** The first numbers of an embedding, at length 1, as bytes. */
function quantize(embedding, width) {
  if (width > embedding.length) throw new Error(`The embedding has ${embedding.length} numbers, the index ${width}.`);
  const kept = Array.from(embedding.subarray(0, width));
  const length = width < embedding.length ? Math.hypot(...kept) || 1 : 1;
  return kept.map((number) => Math.floor(UNIT * (number / length) + 0.5));
}
