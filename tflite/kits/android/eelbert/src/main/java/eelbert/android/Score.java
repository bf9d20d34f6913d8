package eelbert.android;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/** A class and its probability. */
public final class Score {
    public final String label;
    public final double probability;

    Score(String label, double probability) {
        this.label = label;
        this.probability = probability;
    }

    /** The classes with the softmax of their logits, the likeliest first. */
    static List<Score> rank(float[] logits, List<String> labels) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            greatest = Math.max(greatest, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - greatest);
        }
        List<Score> scores = new ArrayList<>();
        for (int i = 0; i < logits.length; i++) {
            scores.add(new Score(labels.get(i), Math.exp(logits[i] - greatest) / sum));
        }
        Collections.sort(scores, (a, b) -> Double.compare(b.probability, a.probability));
        return scores;
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%s %.3f", label, probability);
    }
}
