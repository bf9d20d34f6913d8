package eelbert.android;

import java.util.Collections;
import java.util.List;

/** What a model says of a text, in one form for every task. */
public final class Answer {
    /** The text's class, the likeliest where it has several; null where it has none, or the model gives numbers. */
    public final String label;
    /** All of the text's classes, the likeliest first. */
    public final List<String> labels;
    /** Every class with its probability, the likeliest first; none where the model gives numbers. */
    public final List<Score> scores;
    /** The model's raw output: logits, a regression's numbers, or an embedding. */
    public final float[] values;

    Answer(List<String> labels, List<Score> scores, float[] values) {
        this.label = labels.isEmpty() ? null : labels.get(0);
        this.labels = Collections.unmodifiableList(labels);
        this.scores = Collections.unmodifiableList(scores);
        this.values = values;
    }

    @Override
    public String toString() {
        return scores.isEmpty() ? java.util.Arrays.toString(values) : String.join(", ", labels);
    }
}
