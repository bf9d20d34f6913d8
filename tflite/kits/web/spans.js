// From what a tagger gives for the tokens of a text to spans: eelbert_tf/text/spans.py in JavaScript.

/**
 * The tags with the greatest sum of logits of which none is I without a B or an I of its name before.
 *
 * @param logits one row for each token: O, B of each name, I of each name.
 * @returns the number of each token's tag.
 */
export function bestTags(logits) {
  if (!logits.length) return [];
  const count = (logits[0].length - 1) / 2;
  let scores = Array.from(logits[0], (x, tag) => (tag > count ? -Infinity : x)); // no text begins within a span
  const steps = [];
  for (const row of logits.slice(1)) {
    const best = firstOfGreatest(scores);
    const continues = Array.from({ length: count }, (_, i) => scores[1 + count + i] > scores[1 + i]);
    steps.push({ best, continues });
    const before = scores;
    scores = Array.from(row, (x, tag) =>
      tag <= count ? before[best] + x : Math.max(before[tag], before[tag - count]) + x,
    );
  }
  const tags = [firstOfGreatest(scores)];
  for (const { best, continues } of steps.reverse()) {
    const tag = tags[0];
    tags.unshift(tag <= count ? best : continues[tag - 1 - count] ? tag : tag - count);
  }
  return tags;
}

/**
 * The spans of a text.
 *
 * @param logits rows as in `bestTags`, for all slots.
 * @param positions first byte and byte behind the last of each slot's token; equal where there is none.
 * @param names names of spans.
 * @param data the bytes of the text.
 * @returns for each span its label, its first byte and the one behind its last, the same as indices of a string, and
 *     its score, the least probability among its tokens' tags.
 */
export function decodeSpans(logits, positions, names, data) {
  const filled = positions.map((_, i) => i).filter((i) => positions[i][1] > positions[i][0]);
  const rows = filled.map((i) => logits[i]);
  const tags = bestTags(rows);
  const spans = [];
  let before = 0;
  filled.forEach((slot, i) => {
    let [start, end] = positions[slot];
    while (start > before && isTail(data, start)) start--; // a span begins and ends where characters do
    start = Math.max(start, before);
    while (isTail(data, end)) end++;
    before = end;
    const score = probability(rows[i], tags[i]);
    if (tags[i] > names.length) {
      const last = spans[spans.length - 1];
      last.endByte = end;
      last.score = Math.min(last.score, score);
    } else if (tags[i] > 0) {
      spans.push({ label: names[tags[i] - 1], startByte: start, endByte: end, score });
    }
  });
  for (const span of spans) {
    span.start = unitsBefore(data, span.startByte);
    span.end = unitsBefore(data, span.endByte);
  }
  return spans;
}

const isTail = (data, position) => position < data.length && (data[position] & 0xc0) === 0x80;

const firstOfGreatest = (numbers) => numbers.reduce((best, x, i) => (x > numbers[best] ? i : best), 0);

function probability(row, tag) {
  const greatest = Math.max(...row);
  return Math.exp(row[tag] - greatest) / row.reduce((sum, x) => sum + Math.exp(x - greatest), 0);
}

/** UTF-16 units of a string before a byte of its UTF-8. */
function unitsBefore(data, position) {
  let units = 0;
  for (let i = 0; i < position; i++) units += (data[i] & 0xc0) === 0x80 ? 0 : data[i] >= 0xf0 ? 2 : 1;
  return units;
}
