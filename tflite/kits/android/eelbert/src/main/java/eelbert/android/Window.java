package eelbert.android;

import java.util.ArrayList;
import java.util.List;

/** A part of a long text that a model reads at once: docs/hash.md, "Windows". */
final class Window {
    /** The first byte. */
    final int start;
    /** The byte behind the last one. */
    final int end;
    /** Without [CLS] and [SEP]. */
    final int tokens;

    Window(int start, int end, int tokens) {
        this.start = start;
        this.end = end;
        this.tokens = tokens;
    }

    /**
     * The windows in which a text is read, all that it takes; none where it has no tokens.
     *
     * @param data the bytes of the text.
     * @param overlap tokens that neighbouring windows have in common, where they fit.
     */
    static List<Window> find(byte[] data, int maxTokens, int maxBytes, int overlap, int normalization) {
        List<Token> tokens = new Text.Split(data, false, normalization).tokens;
        List<Window> windows = new ArrayList<>();
        for (int begin = 0; begin < tokens.size(); ) {
            int end = begin + 1;
            while (end < tokens.size() && end - begin < maxTokens - 2 && fits(tokens, begin, end, maxBytes)) {
                end++;
            }
            windows.add(new Window(tokens.get(begin).start, tokens.get(end - 1).end, end - begin));
            if (end == tokens.size()) {
                break;
            }
            begin = Math.max(begin + 1, end - overlap);
            while (begin < end && !fits(tokens, begin, end, maxBytes)) {
                begin++;
            }
        }
        return windows;
    }

    private static boolean fits(List<Token> tokens, int first, int last, int maxBytes) {
        return tokens.get(last).end - tokens.get(first).start < maxBytes;
    }
}
