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

/** A model's input: Int32Array of `maxBytes` bytes, cut or filled with zeros. `second` makes a pair. */
export function encode(text, second, maxBytes) {
  const input = new Int32Array(maxBytes);
  input.set(toBytes(text, second, maxBytes).slice(0, maxBytes));
  return input;
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
 * The words that a model sees, [CLS] and [SEP]s left out: the graph does the same to the bytes by itself.
 *
 * @param data bytes of a text, or of a pair with the separator byte.
 * @param pair whether the first separator byte divides two texts.
 * @param normalization that of the model's hash.
 * @returns two lists of words, each a list of bytes; the second is null where the input is no pair.
 */
export function tokenize(data, maxTokens, maxBytes, pair, normalization = 0) {
  data = data.slice(0, maxBytes);
  const words = [];
  let divide = null; // number of words before the separator byte
  let word = [];
  let touching = false; // whether the last word ends where the data end, but for dropped bytes
  const character = normalization ? readCharacter : plainCharacter;
  for (let p = 0; p < data.length; ) {
    const { kind, length, bytes } = character(data, p);
    if (kind === WORD) {
      word.push(...bytes);
      touching ||= bytes.length > 0;
    } else {
      if (word.length) words.push(word);
      word = kind === FIRST ? [...bytes] : [];
      touching = kind !== BLANK;
      if (kind === SYMBOL) words.push(bytes);
      if (pair && divide === null && data[p] === SEPARATOR) divide = words.length;
    }
    p += length;
  }
  if (word.length) words.push(word);
  if (words.length > 1 && touching && data.length === maxBytes) words.pop(); // it may be half a word
  if (divide === null) return [words.slice(0, maxTokens - 2), null];
  const room = maxTokens - 3;
  const [first, second] = [words.slice(0, divide), words.slice(divide)];
  first.splice(Math.max(room - second.length, room - (room >> 1)));
  return [first, second.slice(0, room - first.length)];
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

/** How a model with this metadata reads a text: its words, and whether some did not fit. */
export function read(text, second, { max_tokens, max_bytes, pair, config }) {
  const normalization = config?.hash?.normalization ?? 0;
  const words = tokenize(toBytes(text, second, max_bytes), max_tokens, max_bytes, pair, normalization);
  let [first, other] = [text, second];
  if (!normalization) { // no character is dropped: a long text need not be split
    [first, other] = [text, second].map((t) => (t == null ? t : spacedOnce(t, max_bytes)));
    if (first === null || (other === null && second != null)) return { words, truncated: true };
  }
  const all = tokenize(toBytes(first, other, Infinity), Infinity, Infinity, pair, normalization);
  return { words, truncated: JSON.stringify(all) !== JSON.stringify(words) };
}
