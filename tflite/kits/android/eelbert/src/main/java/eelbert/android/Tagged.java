package eelbert.android;

import java.util.List;

/** What a tagger says of a text. */
public final class Tagged {
    /** Parts of the text that have names, in their order. */
    public final List<Span> spans;
    /** The classes of the text as a whole with their probabilities, the likeliest first; none where it has no class. */
    public final List<Score> scores;

    Tagged(List<Span> spans, List<Score> scores) {
        this.spans = spans;
        this.scores = scores;
    }
}
