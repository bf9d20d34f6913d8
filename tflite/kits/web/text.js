// From a text to what a model reads: its UTF-8 bytes, cut and padded. docs/hash.md is the specification.

import { FIRST, SPACE as BLANK, SYMBOL, WORD, readCharacter } from "./folding.js";

const SEPARATOR = 0x1f;
const SPACE = 0x20;

/** UTF-8 of a string, as plain numbers. A lone surrogate becomes three bytes, as in Python's "surrogatepass". */
export function utf8(text) {
  const bytes = [];
  for (const character of text) {
    const c = character.codePointAt(0);
    if (c < 0x80) bytes.push(c);
    else if (c < 0x800) bytes.push(0xc0 | (c >> 6), 0x80 | (c & 63));
    else if (c < 0x10000) bytes.push(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
    else bytes.push(0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
  }
  return bytes;
}

/** UTF-8 of a text, in which a separator byte is white space. */
const spaced = (text) => utf8(text).map((c) => (c === SEPARATOR ? SPACE : c));

/** The beginning of a text that has all of its first `maxBytes` bytes: each unit of a string gives one at least. */
const head = (text, maxBytes) => (text.length > maxBytes ? text.slice(0, maxBytes + 1) : text);

/**
 * The bytes of a text, or of two texts with the separator byte between them.
 *
 * A separator byte within a text is white space: it does not make a pair of it. Where both do not fit, the first is cut,
 * at a space if it has one, to what the second leaves but never below half.
 */
export function toBytes(text, second, maxBytes) {
  if (second == null) return spaced(head(text, maxBytes));
  const [a, b] = [text, second].map((t) => spaced(head(t, maxBytes)));
  const room = Math.max(maxBytes - 1 - b.length, (maxBytes - 1) >> 1);
  if (a.length > room) {
    const space = a.lastIndexOf(SPACE, room);
    a.length = space > 0 ? space : room;
  }
  return [...a, SEPARATOR, ...b];
}

/**
 * What a model with this metadata is run on for the bytes of a text: the input of its shortest graph that holds them,
 * Int32Array, cut or filled with zeros; and the name of its signature.
 */
export function fit(data, { max_tokens, max_bytes, pair, config, lengths = [] }) {
  // A token that touches the last byte read is dropped, so that one byte has to stay free.
  const fitting = lengths.filter(([, bytes]) => data.length < bytes);
  const special = pair ? 3 : 2; // [CLS] and [SEP]s
  const count = fitting.length ? split(data, pair, config?.hash?.normalization).tokens.length + special : Infinity;
  const [tokens, bytes] = fitting.find(([tokens]) => count <= tokens) ?? [max_tokens, max_bytes];
  const input = new Int32Array(bytes);
  input.set(data.slice(0, bytes));
  return { input, signature: tokens < max_tokens ? `tokens_${tokens}` : "serving_default" };
}

const isTail = (c) => c >= 0x80 && c < 0xc0;

/** Bytes of the white space at `p`, 0 where there is none. */
function spaceLength(data, p) {
  const [c, n, m] = [data[p], data[p + 1], data[p + 2]];
  if (c <= 0x20) return 1;
  if (c === 0xc2 && n === 0xa0) return 2;
  if (c === 0xe3 && n === 0x80 && m === 0x80) return 3;
  return c === 0xe2 && n === 0x80 && m >= 0x80 && m < 0x90 ? 3 : 0;
}

/** Bytes of the character at `p` where it is a token by itself, 0 where it is part of a word. */
function symbolLength(data, p) {
  const [c, n, m, l] = [data[p], data[p + 1], data[p + 2], data[p + 3]];
  if (c <= 0x2f || (c >= 0x3a && c <= 0x40) || (c >= 0x5b && c <= 0x60) || (c >= 0x7b && c <= 0x7f)) return 1;
  if (isTail(n) && isTail(m)) {
    const punctuation = c === 0xe2 && (n === 0x80 || (n === 0x81 && m < 0xb0));
    const cjk = (c === 0xe3 && (n === 0x80 || n >= 0x90)) || (c >= 0xe4 && c <= 0xe9);
    if (punctuation || cjk || (c === 0xef && n >= 0xa4 && n <= 0xab)) return 3;
    if (c === 0xf0 && n >= 0x9f && isTail(l)) return 4;
  }
  return 0;
}

/** The character at `p` where only ASCII is folded. */
function plainCharacter(data, p) {
  const space = spaceLength(data, p);
  if (space) return { kind: BLANK, length: space, bytes: data.slice(p, p + space) };
  const symbol = symbolLength(data, p);
  if (symbol) return { kind: SYMBOL, length: symbol, bytes: data.slice(p, p + symbol) };
  return { kind: WORD, length: 1, bytes: [data[p] >= 0x41 && data[p] <= 0x5a ? data[p] + 32 : data[p]] };
}

/**
 * The tokens of a text without limits: the bytes of each, its first byte in the text, and the one behind its last.
 *
 * @returns `tokens`; `divide`, the number of those before the separator byte, null where there is none; and `touching`,
 *     whether the last one ends where the data end, but for dropped bytes.
 */
function split(data, pair, normalization) {
  const tokens = [];
  let divide = null;
  let word = null; // one that may go on
  let touching = false;
  const character = normalization ? readCharacter : plainCharacter;
  for (let p = 0; p < data.length; ) {
    const { kind, length, bytes } = character(data, p);
    const end = p + length;
    if (kind === WORD && !bytes.length) {
      // dropped
    } else if (kind === WORD && word) {
      word.bytes.push(...bytes);
      word.end = end;
    } else {
      const token = { bytes: [...bytes], start: p, end };
      if (kind !== BLANK) tokens.push(token);
      word = kind === WORD || kind === FIRST ? token : null;
      if (pair && divide === null && data[p] === SEPARATOR) divide = tokens.length;
    }
    if (kind !== WORD || bytes.length) touching = kind !== BLANK;
    p = end;
  }
  return { tokens, divide, touching };
}

/**
 * The words that a model sees, [CLS] and [SEP]s left out: the graph does the same to the bytes by itself.
 *
 * @param data bytes of a text, or of a pair with the separator byte.
 * @param pair whether the first separator byte divides two texts.
 * @param normalization that of the model's hash.
 * @returns two lists of words, each a list of bytes; the second is null where the input is no pair.
 */
export function tokenize(data, maxTokens, maxBytes, pair, normalization = 0) {
  data = data.slice(0, maxBytes);
  const { tokens, divide, touching } = split(data, pair, normalization);
  const words = tokens.map((token) => token.bytes);
  if (words.length > 1 && touching && data.length === maxBytes) words.pop(); // it may be half a word
  if (divide === null) return [words.slice(0, maxTokens - 2), null];
  const room = maxTokens - 3;
  const [first, second] = [words.slice(0, divide), words.slice(divide)];
  first.splice(Math.max(room - second.length, room - (room >> 1)));
  return [first, second.slice(0, room - first.length)];
}

/**
 * The windows in which a long text is read, all that it takes: docs/hash.md, "Windows".
 *
 * @returns for each its first byte, the one behind its last, and the number of its tokens.
 */
export function findWindows(data, maxTokens, maxBytes, overlap, normalization = 0) {
  const { tokens } = split(data, false, normalization);
  const fits = (begin, end) => tokens[end].end - tokens[begin].start < maxBytes;
  const windows = [];
  for (let begin = 0; begin < tokens.length; ) {
    let end = begin + 1;
    while (end < tokens.length && end - begin < maxTokens - 2 && fits(begin, end)) end++;
    windows.push({ start: tokens[begin].start, end: tokens[end - 1].end, tokens: end - begin });
    if (end === tokens.length) break;
    begin = Math.max(begin + 1, end - overlap);
    while (begin < end && !fits(begin, end)) begin++;
  }
  return windows;
}

/**
 * What a model with this metadata is run on for a text: one input, or several where it reads long texts in windows.
 *
 * @returns for each what `fit` gives, and its `share` in the mean of the outputs.
 */
export function inputs(text, second, metadata) {
  const { max_tokens, max_bytes, max_windows = 1, window_overlap = 0, config } = metadata;
  if (second != null || max_windows === 1) return [{ ...fit(toBytes(text, second, max_bytes), metadata), share: 1 }];
  const data = toBytes(text, null, Infinity);
  const found = findWindows(data, max_tokens, max_bytes, window_overlap, config?.hash?.normalization).slice(0, max_windows);
  const windows = found.length ? found : [{ start: 0, end: 0, tokens: 1 }];
  const total = windows.reduce((sum, window) => sum + window.tokens, 0);
  return windows.map(({ start, end, tokens }) => ({ ...fit(data.slice(start, end), metadata), share: tokens / total }));
}

/** A text with one space for each run of white space, or null where it has more to read than `most` bytes. */
function spacedOnce(text, most) {
  let spaced = "";
  let count = 0;
  let space = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c <= 0x20 || c === 0xa0 || (c >= 0x2000 && c <= 0x200f) || c === 0x3000) {
      space = true;
    } else {
      if (++count > most) return null;
      spaced += (space ? " " : "") + text[i];
      space = false;
    }
  }
  return spaced;
}

/** How a model with this metadata reads a text: its words, whether some did not fit, and in how many windows. */
export function read(text, second, { max_tokens, max_bytes, pair, config, max_windows = 1, window_overlap = 0 }) {
  const normalization = config?.hash?.normalization ?? 0;
  if (second == null && max_windows > 1) {
    const data = toBytes(text, null, Infinity);
    const all = findWindows(data, max_tokens, max_bytes, window_overlap, normalization);
    const windows = all.slice(0, max_windows);
    const { tokens } = split(data.slice(0, windows.at(-1)?.end ?? 0), false, normalization);
    const truncated = all.length > max_windows || windows.some(({ start, end }) => end - start > max_bytes);
    return { words: [tokens.map((token) => token.bytes), null], truncated, windows: windows.length };
  }
  const words = tokenize(toBytes(text, second, max_bytes), max_tokens, max_bytes, pair, normalization);
  let [first, other] = [text, second];
  if (!normalization) { // no character is dropped: a long text need not be split
    [first, other] = [text, second].map((t) => (t == null ? t : spacedOnce(t, max_bytes)));
    if (first === null || (other === null && second != null)) return { words, truncated: true };
  }
  const all = tokenize(toBytes(first, other, Infinity), Infinity, Infinity, pair, normalization);
  return { words, truncated: JSON.stringify(all) !== JSON.stringify(words) };
}
