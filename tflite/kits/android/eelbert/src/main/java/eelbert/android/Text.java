package eelbert.android;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** From a text to what a model reads: its UTF-8 bytes, cut and padded. docs/hash.md is the specification. */
public final class Text {
    private static final int SEPARATOR = 0x1F;
    private static final int SPACE = 0x20;

    private Text() {}

    /**
     * A model's input.
     *
     * @param second the second text of a pair, or null.
     * @return {@code maxBytes} bytes as numbers from 0 to 255, cut or filled with zeros.
     */
    public static int[] encode(String text, String second, int maxBytes) {
        return pad(toBytes(text, second, maxBytes), maxBytes);
    }

    /** Bytes as numbers from 0 to 255, cut or filled with zeros. */
    static int[] pad(byte[] data, int maxBytes) {
        int[] input = new int[maxBytes];
        for (int i = 0; i < Math.min(data.length, maxBytes); i++) {
            input[i] = data[i] & 0xFF;
        }
        return input;
    }

    /**
     * What a model is run on for a text: its bytes, or several parts of them where it reads long texts in windows.
     *
     * @param second the second text of a pair, or null.
     * @param shares gets the share of each part in the mean of the outputs.
     */
    static List<byte[]> parts(String text, String second, Metadata metadata, List<Double> shares) {
        List<byte[]> parts = new ArrayList<>();
        if (second != null || metadata.maxWindows == 1) {
            parts.add(toBytes(text, second, metadata.maxBytes));
            shares.add(1.0);
            return parts;
        }
        byte[] data = toBytes(text, null, Integer.MAX_VALUE);
        List<Window> windows = metadata.windows(data);
        if (windows.isEmpty()) {
            windows.add(new Window(0, 0, 1));
        }
        windows = windows.subList(0, Math.min(windows.size(), metadata.maxWindows));
        int total = 0;
        for (Window window : windows) {
            parts.add(Arrays.copyOfRange(data, window.start, window.end));
            total += window.tokens;
        }
        for (Window window : windows) {
            shares.add((double) window.tokens / total);
        }
        return parts;
    }

    /** Whether a model that reads long texts in windows leaves out something of a text. */
    static boolean isTruncated(String text, Metadata metadata) {
        List<Window> windows = metadata.windows(toBytes(text, null, Integer.MAX_VALUE));
        boolean cut = windows.size() > metadata.maxWindows;
        for (int i = 0; i < Math.min(windows.size(), metadata.maxWindows); i++) {
            cut |= windows.get(i).end - windows.get(i).start > metadata.maxBytes;
        }
        return cut;
    }

    /** Whether the model reads only a part of a text, since it is longer than it has tokens or bytes for. */
    public static boolean isTruncated(
            String text, String second, int maxTokens, int maxBytes, boolean pair, int normalization) {
        String first = text;
        String other = second;
        if (normalization == 0) { // no character is dropped: a long text need not be split
            first = spacedOnce(text, maxBytes);
            other = second == null ? null : spacedOnce(second, maxBytes);
            if (first == null || (other == null && second != null)) {
                return true;
            }
        }
        List<List<byte[]>> kept = tokenize(toBytes(text, second, maxBytes), maxTokens, maxBytes, pair, normalization);
        byte[] whole = toBytes(first, other, Integer.MAX_VALUE);
        List<List<byte[]>> all = tokenize(whole, Integer.MAX_VALUE, Integer.MAX_VALUE, pair, normalization);
        return !Arrays.deepEquals(toArrays(kept), toArrays(all));
    }

    /**
     * A text with one space for each run of white space, or null where it has more to read than {@code maxBytes}: a long
     * text need not be split.
     */
    private static String spacedOnce(String text, int maxBytes) {
        StringBuilder spaced = new StringBuilder();
        boolean space = false;
        int count = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c <= 0x20 || c == 0xA0 || (c >= 0x2000 && c <= 0x200F) || c == 0x3000) {
                space = true;
                continue;
            }
            if (++count > maxBytes) {
                return null;
            }
            spaced.append(space ? " " : "").append(c);
            space = false;
        }
        return spaced.toString();
    }

    /**
     * The bytes of a text, or of two texts with the separator byte between them.
     *
     * <p>A separator byte within a text is white space: it does not make a pair of it. Where both do not fit, the first
     * is cut, at a space if it has one, to what the second leaves but never below half.
     */
    static byte[] toBytes(String text, String second, int maxBytes) {
        byte[] a = withoutSeparators(utf8(head(text, maxBytes)));
        if (second == null) {
            return a;
        }
        byte[] b = withoutSeparators(utf8(head(second, maxBytes)));
        int room = Math.max(maxBytes - 1 - b.length, (maxBytes - 1) / 2);
        int length = a.length;
        if (length > room) {
            length = room;
            for (int p = room; p > 0; p--) {
                if (a[p] == SPACE) {
                    length = p;
                    break;
                }
            }
        }
        byte[] joined = Arrays.copyOf(a, length + 1 + b.length);
        joined[length] = SEPARATOR;
        System.arraycopy(b, 0, joined, length + 1, b.length);
        return joined;
    }

    /** The beginning of a text that has all of its first bytes: each char of a string gives one at least. */
    private static String head(String text, int maxBytes) {
        return text.length() > maxBytes ? text.substring(0, maxBytes + 1) : text;
    }

    /** UTF-8, in which a lone surrogate becomes three bytes, as in Python's "surrogatepass". */
    private static byte[] utf8(String text) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(text.length() + 16);
        for (int i = 0; i < text.length(); ) {
            int c = text.codePointAt(i);
            i += Character.charCount(c);
            if (c < 0x80) {
                out.write(c);
            } else {
                int tails = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
                out.write(((0xF00 >> (tails + 1)) & 0xFF) | (c >> 6 * tails)); // C0, E0 or F0: how many follow
                for (int tail = tails - 1; tail >= 0; tail--) {
                    out.write(0x80 | ((c >> 6 * tail) & 0x3F));
                }
            }
        }
        return out.toByteArray();
    }

    private static byte[] withoutSeparators(byte[] data) {
        for (int i = 0; i < data.length; i++) {
            data[i] = data[i] == SEPARATOR ? SPACE : data[i];
        }
        return data;
    }

    /**
     * The words that a model sees, [CLS] and [SEP]s left out: the graph does the same to the bytes by itself.
     *
     * @param data bytes of a text, or of a pair with the separator byte.
     * @param pair whether the first separator byte divides two texts.
     * @param normalization that of the model's hash.
     * @return one list of words, or two where the input is a pair.
     */
    static List<List<byte[]>> tokenize(byte[] data, int maxTokens, int maxBytes, boolean pair, int normalization) {
        data = Arrays.copyOf(data, Math.min(data.length, maxBytes));
        Split split = new Split(data, pair, normalization);
        List<byte[]> words = new ArrayList<>();
        for (Token token : split.tokens) {
            words.add(token.bytes());
        }
        if (words.size() > 1 && split.touching && data.length == maxBytes) {
            words.remove(words.size() - 1); // it may be half a word
        }
        if (split.divide < 0) {
            return Arrays.asList(head(words, maxTokens - 2));
        }
        int room = maxTokens - 3;
        List<byte[]> first = words.subList(0, Math.min(split.divide, words.size()));
        List<byte[]> second = words.subList(first.size(), words.size());
        first = head(first, Math.max(room - second.size(), room - room / 2));
        return Arrays.asList(first, head(second, room - first.size()));
    }

    /** The tokens of a text without limits. */
    static final class Split {
        final List<Token> tokens = new ArrayList<>();
        /** The number of tokens before the separator byte, -1 where there is none. */
        int divide = -1;
        /** Whether the last token ends where the data end, but for dropped bytes. */
        boolean touching;

        Split(byte[] data, boolean pair, int normalization) {
            Token word = null; // one that may go on
            for (int p = 0; p < data.length; ) {
                Folding character = normalization == 0 ? plain(data, p) : Folding.read(data, p);
                int end = p + character.length;
                boolean isWord = character.kind == Folding.WORD;
                if (!isWord || character.bytes.length > 0) { // else it is dropped
                    touching = character.kind != Folding.SPACE;
                    if (touching && (!isWord || word == null)) {
                        word = new Token(p);
                        tokens.add(word);
                    }
                    if (touching) {
                        word.add(character, end);
                    }
                    if (!isWord && character.kind != Folding.FIRST) {
                        word = null;
                    }
                    if (pair && divide < 0 && data[p] == SEPARATOR) {
                        divide = tokens.size();
                    }
                }
                p = end;
            }
        }
    }

    /** The character at {@code p} where only ASCII is folded. */
    private static Folding plain(byte[] data, int p) {
        int space = spaceLength(data, p);
        int symbol = space > 0 ? 0 : symbolLength(data, p);
        if (space + symbol > 0) {
            byte[] bytes = Arrays.copyOfRange(data, p, p + space + symbol);
            return new Folding(space > 0 ? Folding.SPACE : Folding.SYMBOL, bytes.length, bytes);
        }
        return new Folding(Folding.WORD, 1, (byte) (data[p] >= 'A' && data[p] <= 'Z' ? data[p] + 32 : data[p]));
    }

    /** Bytes of the white space at {@code p}, 0 where there is none. */
    private static int spaceLength(byte[] data, int p) {
        int c = at(data, p);
        int n = at(data, p + 1);
        int m = at(data, p + 2);
        if (c <= 0x20) {
            return 1;
        }
        if (c == 0xC2 && n == 0xA0) {
            return 2;
        }
        boolean wide = c == 0xE3 && n == 0x80 && m == 0x80;
        return wide || (c == 0xE2 && n == 0x80 && m >= 0x80 && m < 0x90) ? 3 : 0;
    }

    /** Bytes of the character at {@code p} where it is a token by itself, 0 where it is part of a word. */
    private static int symbolLength(byte[] data, int p) {
        int c = at(data, p);
        int n = at(data, p + 1);
        int m = at(data, p + 2);
        if (c <= 0x2F || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7F)) {
            return 1;
        }
        if (isTail(n) && isTail(m)) {
            boolean punctuation = c == 0xE2 && (n == 0x80 || (n == 0x81 && m < 0xB0));
            boolean cjk = (c == 0xE3 && (n == 0x80 || n >= 0x90)) || (c >= 0xE4 && c <= 0xE9);
            if (punctuation || cjk || (c == 0xEF && n >= 0xA4 && n <= 0xAB)) {
                return 3;
            }
            if (c == 0xF0 && n >= 0x9F && isTail(at(data, p + 3))) {
                return 4;
            }
        }
        return 0;
    }

    private static int at(byte[] data, int p) {
        return p < data.length ? data[p] & 0xFF : -1;
    }

    private static boolean isTail(int c) {
        return c >= 0x80 && c < 0xC0;
    }

    private static List<byte[]> head(List<byte[]> words, int count) {
        return words.subList(0, Math.min(words.size(), count));
    }

    private static Object[] toArrays(List<List<byte[]>> lists) {
        Object[] arrays = new Object[lists.size()];
        for (int i = 0; i < arrays.length; i++) {
            arrays[i] = lists.get(i).toArray();
        }
        return arrays;
    }
}
