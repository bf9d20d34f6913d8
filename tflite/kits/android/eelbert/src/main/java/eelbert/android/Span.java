package eelbert.android;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/** A part of a text that has a name. */
public final class Span {
    public final String label;
    /** The first character, as an index of the string. */
    public final int start;
    /** The character behind the last. */
    public final int end;
    /** The first byte of the text in UTF-8. */
    public final int startByte;
    /** The byte behind the last. */
    public final int endByte;
    /** The least probability among the tags of its tokens. */
    public final double score;

    private Span(String label, byte[] data, int startByte, int endByte, double score) {
        this.label = label;
        this.startByte = startByte;
        this.endByte = endByte;
        this.score = score;
        start = unitsBefore(data, startByte);
        end = unitsBefore(data, endByte);
    }

    /**
     * The spans of a text: eelbert_tf/text/spans.py in Java.
     *
     * @param logits one row for each slot: O, B of each name, I of each name.
     * @param positions first byte and byte behind the last of each slot's token; equal where there is none.
     * @param names names of spans.
     * @param data the bytes of the text.
     */
    static List<Span> decode(float[][] logits, int[][] positions, List<String> names, byte[] data) {
        List<float[]> rows = new ArrayList<>();
        List<int[]> places = new ArrayList<>();
        for (int slot = 0; slot < logits.length; slot++) {
            if (positions[slot][1] > positions[slot][0]) {
                rows.add(logits[slot]);
                places.add(positions[slot]);
            }
        }
        int[] tags = bestTags(rows);
        List<Span> spans = new ArrayList<>();
        int before = 0;
        for (int i = 0; i < tags.length; i++) {
            int start = places.get(i)[0];
            int end = places.get(i)[1];
            while (start > before && isTail(data, start)) {
                start--; // a span begins and ends where characters do
            }
            start = Math.max(start, before);
            while (isTail(data, end)) {
                end++;
            }
            before = end;
            double score = Outputs.softmax(rows.get(i))[tags[i]];
            if (tags[i] > names.size()) {
                Span last = spans.remove(spans.size() - 1);
                spans.add(new Span(last.label, data, last.startByte, end, Math.min(last.score, score)));
            } else if (tags[i] > 0) {
                spans.add(new Span(names.get(tags[i] - 1), data, start, end, score));
            }
        }
        return Collections.unmodifiableList(spans);
    }

    /** The tags with the greatest sum of logits of which none is I without a B or an I of its name before. */
    static int[] bestTags(List<float[]> logits) {
        int[] tags = new int[logits.size()];
        if (tags.length == 0) {
            return tags;
        }
        int count = (logits.get(0).length - 1) / 2;
        int[] best = new int[tags.length]; // before each token
        boolean[][] continues = new boolean[tags.length][count];
        double[] scores = new double[2 * count + 1];
        for (int tag = 0; tag < scores.length; tag++) { // no text begins within a span
            scores[tag] = tag > count ? Double.NEGATIVE_INFINITY : logits.get(0)[tag];
        }
        for (int i = 1; i < tags.length; i++) {
            double[] after = new double[scores.length];
            best[i] = firstOfGreatest(scores);
            for (int tag = 0; tag <= count; tag++) {
                after[tag] = scores[best[i]] + logits.get(i)[tag];
            }
            for (int name = 0; name < count; name++) {
                int tag = 1 + count + name;
                continues[i][name] = scores[tag] > scores[1 + name];
                after[tag] = Math.max(scores[tag], scores[1 + name]) + logits.get(i)[tag];
            }
            scores = after;
        }
        tags[tags.length - 1] = firstOfGreatest(scores);
        for (int i = tags.length - 1; i > 0; i--) {
            int tag = tags[i];
            tags[i - 1] = tag <= count ? best[i] : continues[i][tag - 1 - count] ? tag : tag - count;
        }
        return tags;
    }

    private static int firstOfGreatest(double[] numbers) {
        int best = 0;
        for (int i = 1; i < numbers.length; i++) {
            best = numbers[i] > numbers[best] ? i : best;
        }
        return best;
    }

    private static boolean isTail(byte[] data, int position) {
        return position < data.length && (data[position] & 0xC0) == 0x80;
    }

    /** Characters of a string before a byte of its UTF-8. */
    private static int unitsBefore(byte[] data, int position) {
        int units = 0;
        for (int i = 0; i < position; i++) {
            int c = data[i] & 0xFF;
            units += (c & 0xC0) == 0x80 ? 0 : c >= 0xF0 ? 2 : 1;
        }
        return units;
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%s %d-%d %.3f", label, start, end, score);
    }
}
