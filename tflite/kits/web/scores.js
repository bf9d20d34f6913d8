// From a model's outputs to answers, by the rules of eelbert_tf/scores.py.

/**
 * Names of the classes, or of a regression's numbers, counted from 0 where they have none; null is "none of these". An
 * embedding has none.
 */
export function names({ task, labels, num_classes }) {
  if (task === "embedding") return [];
  if (labels?.length) return labels;
  return Array.from({ length: task === "binary" ? 2 : num_classes }, (_, i) => String(i));
}

/** Probabilities of all classes, in the order of the names. */
export function probabilities(logits, { task }) {
  if (task === "regression") throw new Error("This model gives numbers and no classes: use predict or answer.");
  if (task === "embedding") throw new Error("This model gives embeddings and no classes: use embed.");
  if (task === "multilabel") return Array.from(logits, sigmoid);
  if (task === "binary") return [1 - sigmoid(logits[0]), sigmoid(logits[0])];
  return softmax(logits);
}

/** Numbers of the classes that a text has, the likeliest first: one, or any number where there may be several. */
export function decide(scores, { task, thresholds }) {
  const least = (i) => thresholds?.[i] ?? 0.5;
  const order = scores.map((_, i) => i).sort((i, j) => scores[j] - scores[i]);
  if (task === "multilabel") return order.filter((i) => scores[i] >= least(i));
  if (task === "binary") return [scores[1] >= least(0) ? 1 : 0];
  return [order[0]];
}

/**
 * What is said of a text, as `eelbert predict` says it: `label`, which is null where the text has none of the classes,
 * `score` and `scores`; or `labels` and `scores` where there may be several; or a regression's `value`, or `values`; or
 * an `embedding`.
 */
export function answer(logits, metadata) {
  if (metadata.task === "embedding") return { embedding: Array.from(logits) };
  const called = names(metadata);
  if (metadata.task === "regression") {
    if (logits.length === 1) return { value: logits[0] };
    return { values: Object.fromEntries(called.map((name, i) => [name, logits[i]])) };
  }
  const shares = probabilities(logits, metadata);
  const given = decide(shares, metadata);
  const order = shares.map((_, i) => i).sort((i, j) => shares[j] - shares[i]);
  const ranked = order.filter((i) => called[i] !== null).map((i) => [called[i], shares[i]]);
  const scores = Object.fromEntries(ranked);
  if (metadata.task === "multilabel") return { labels: given.map((i) => called[i]), scores };
  const [best] = given;
  return { label: called[best], score: shares[best], scores };
}

/** Probabilities of logits. */
export function softmax(logits) {
  const greatest = Math.max(...logits);
  const powers = Array.from(logits, (x) => Math.exp(x - greatest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((x) => x / sum);
}

function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
}
