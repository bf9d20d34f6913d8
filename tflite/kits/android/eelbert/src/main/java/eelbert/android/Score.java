package eelbert.android;

import java.util.Locale;

/** A class and its probability; its label is null where it stands for none of the classes. */
public final class Score {
    public final String label;
    public final double probability;

    Score(String label, double probability) {
        this.label = label;
        this.probability = probability;
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%s %.3f", label, probability);
    }
}
