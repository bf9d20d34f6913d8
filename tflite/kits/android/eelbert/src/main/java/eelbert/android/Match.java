package eelbert.android;

/** A text of an index that was found. */
public final class Match {
    /** Its place among the texts of the index, from 0. */
    public final int id;
    /** The cosine with what was searched for, within 0.02. */
    public final double score;
    /** The text. */
    public final String text;
    /** What belongs to it; empty where there is nothing. */
    public final String label;

    Match(int id, double score, String text, String label) {
        this.id = id;
        this.score = score;
        this.text = text;
        this.label = label;
    }

    @Override
    public String toString() {
        return label.isEmpty() ? text : label;
    }
}
