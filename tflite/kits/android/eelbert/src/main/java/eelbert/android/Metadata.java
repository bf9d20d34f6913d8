package eelbert.android;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.CRC32;

/** What a TFLite file says of itself: how to feed it, and how to read what it gives. */
public final class Metadata {
    private static final byte[] START = ascii("{\"format\": \"eelbert\", \"format_version\": ");
    private static final byte[] CRC = ascii("\"crc32\": \"");
    private static final int VERSION = 1;
    private static final List<String> TASKS =
            Arrays.asList("classification", "binary", "multilabel", "regression", "tagging", "embedding");

    /** Token slots, [CLS] and [SEP]s included. */
    public final int maxTokens;
    /** Bytes of its input. */
    public final int maxBytes;
    /** Inputs that a text may be read in, whose outputs are averaged; 1 for a text that is cut off. */
    public final int maxWindows;
    /** Tokens that a window has in common with the one before. */
    public final int windowOverlap;
    /** "classification", "binary", "multilabel", "regression", "tagging" or "embedding". */
    public final String task;
    /** Numbers that the model gives for a text. */
    public final int outputs;
    /**
     * Names of the classes, or of a regression's numbers; counted from 0 where they have no names. Null stands for none
     * of the classes. An embedding has none.
     */
    public final List<String> labels;
    /** Names of the spans that it finds; none where it finds no spans. */
    public final List<String> spanNames;
    /** Least probabilities of the second of two classes, or of each of several labels; null where they are 0.5. */
    public final List<Double> thresholds;
    /** Whether it gives numbers instead of classes. */
    public final boolean isRegression;
    /** Whether it finds spans: parts of a text that have names. */
    public final boolean isTagger;
    /** Whether it gives embeddings. */
    public final boolean isEncoder;
    /** Whether it reads two texts. */
    public final boolean isPair;
    /** What it does to characters: that of its hash. */
    public final int normalization;

    /** Of its graphs, the shortest first. */
    private final List<Length> lengths = new ArrayList<>();

    private Metadata(Map<?, ?> fields) {
        maxTokens = number(fields, "max_tokens");
        maxBytes = number(fields, "max_bytes");
        maxWindows = fields.containsKey("max_windows") ? number(fields, "max_windows") : 1;
        windowOverlap = fields.containsKey("window_overlap") ? number(fields, "window_overlap") : 0;
        if (fields.get("lengths") != null) {
            for (Object length : (List<?>) fields.get("lengths")) {
                int tokens = ((Double) ((List<?>) length).get(0)).intValue();
                int bytes = ((Double) ((List<?>) length).get(1)).intValue();
                lengths.add(new Length(tokens, bytes, "tokens_" + tokens));
            }
        }
        lengths.add(new Length(maxTokens, maxBytes, "serving_default"));
        outputs = number(fields, "num_classes");
        task = String.valueOf(fields.get("task"));
        if (!TASKS.contains(task)) {
            throw new IllegalArgumentException("The file is for the task " + task + "; this class knows " + TASKS + ".");
        }
        isRegression = "regression".equals(task);
        isTagger = "tagging".equals(task);
        isEncoder = "embedding".equals(task);
        List<String> spans = new ArrayList<>();
        if (isTagger) {
            List<?> tags = (List<?>) fields.get("tags");
            for (Object tag : tags.subList(1, 1 + tags.size() / 2)) {
                spans.add(((String) tag).substring(2)); // behind "B-"
            }
        }
        spanNames = Collections.unmodifiableList(spans);
        isPair = Boolean.TRUE.equals(fields.get("pair"));
        Object config = fields.get("config");
        Object hash = config instanceof Map ? ((Map<?, ?>) config).get("hash") : null;
        boolean known = hash instanceof Map && ((Map<?, ?>) hash).containsKey("normalization");
        normalization = known ? number((Map<?, ?>) hash, "normalization") : 0;
        List<String> names = new ArrayList<>();
        if (fields.get("labels") != null) {
            for (Object label : (List<?>) fields.get("labels")) {
                names.add((String) label);
            }
        }
        int count = isEncoder ? 0 : "binary".equals(task) ? 2 : outputs;
        for (int i = names.size(); i < count; i++) {
            names.add(String.valueOf(i));
        }
        labels = Collections.unmodifiableList(names);
        List<Double> least = null;
        if (fields.get("thresholds") != null) {
            least = new ArrayList<>();
            for (Object threshold : (List<?>) fields.get("thresholds")) {
                least.add((Double) threshold);
            }
        }
        thresholds = least;
    }

    /**
     * Reads the metadata of a file, after a check that the file is whole: a damaged one could crash LiteRT.
     *
     * @throws IllegalArgumentException if `eelbert convert` did not write it, or it is damaged.
     */
    public static Metadata read(byte[] file) {
        int start = indexOf(file, START, 4);
        if (start < 0 || !Arrays.equals(Arrays.copyOfRange(file, 4, 8), ascii("TFL3"))) {
            throw new IllegalArgumentException("This is not a file that eelbert convert wrote, or it is damaged.");
        }
        int length = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getInt(start - 4);
        Map<?, ?> fields;
        try {
            fields = Json.parseObject(new String(file, start, length, StandardCharsets.UTF_8));
        } catch (IllegalArgumentException | IndexOutOfBoundsException error) {
            throw new IllegalArgumentException("The file is damaged: its metadata cannot be read.", error);
        }
        int version = number(fields, "format_version");
        if (version != VERSION) {
            throw new IllegalArgumentException(
                    "The file has format version " + version + "; this class reads version " + VERSION + ".");
        }
        int crc = indexOf(file, CRC, start) + CRC.length;
        byte[] blank = file.clone();
        Arrays.fill(blank, crc, crc + 8, (byte) '-'); // which stood there when the checksum was made
        CRC32 sum = new CRC32();
        sum.update(blank);
        String expected = String.format(Locale.ROOT, "%08x", sum.getValue());
        if (number(fields, "file_bytes") != file.length || !expected.equals(fields.get("crc32"))) {
            throw new IllegalArgumentException("The file is damaged: its size or checksum differs. Copy it again.");
        }
        return new Metadata(fields);
    }

    /** The windows in which a text is read, all that it takes. */
    List<Window> windows(byte[] data) {
        return Window.find(data, maxTokens, maxBytes, windowOverlap, normalization);
    }

    /** The shortest length that gives what the longest gives for a text. */
    Length lengthFor(byte[] data) {
        int tokens = -1; // not counted yet
        for (Length length : lengths) {
            // A token that touches the last byte read is dropped, so that one byte has to stay free.
            if (data.length < length.bytes && length.tokens < maxTokens) {
                if (tokens < 0) {
                    tokens = new Text.Split(data, isPair, normalization).tokens.size() + (isPair ? 3 : 2);
                }
                if (tokens <= length.tokens) {
                    return length;
                }
            }
        }
        return lengths.get(lengths.size() - 1);
    }

    private static int number(Map<?, ?> fields, String name) {
        Object value = fields.get(name);
        if (!(value instanceof Double)) {
            throw new IllegalArgumentException("The file is damaged: it has no " + name + ".");
        }
        return ((Double) value).intValue();
    }

    private static int indexOf(byte[] data, byte[] part, int from) {
        search:
        for (int start = from; start <= data.length - part.length; start++) {
            for (int i = 0; i < part.length; i++) {
                if (data[start + i] != part[i]) {
                    continue search;
                }
            }
            return start;
        }
        return -1;
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
