package eelbert.android;

import android.content.Context;
import android.content.res.AssetManager;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.tensorflow.lite.Interpreter;

/** Answers calls, one a line, with a line that begins with "=". Strings are UTF-16 in hexadecimal, "-" is null. */
final class Calls {
    private Calls() {}

    public static void main(String[] args) {
        while (Interpreter.ANSWERS.hasNextLine()) {
            String answer;
            try {
                answer = call(Interpreter.ANSWERS.nextLine().split(" "));
            } catch (Exception error) {
                answer = "error " + error.getMessage();
            }
            System.out.println("=" + answer);
        }
    }

    private static String call(String[] call) throws Exception {
        switch (call[0]) {
            case "encode":
                return join(Text.encode(text(call[1]), text(call[2]), number(call[3])));
            case "join":
                return hex(Text.toBytes(text(call[1]), text(call[2]), number(call[3])));
            case "words":
                byte[] data = bytes(call[1]);
                boolean divided = Boolean.parseBoolean(call[4]);
                return words(Text.tokenize(data, number(call[2]), number(call[3]), divided, number(call[5])));
            case "long":
                try (Eelbert eelbert = open(call[1])) {
                    return "" + eelbert.isTruncated(text(call[2]), null);
                }
            case "truncated":
                boolean pair = Boolean.parseBoolean(call[5]);
                int[] limits = {number(call[3]), number(call[4])};
                return "" + Text.isTruncated(text(call[1]), text(call[2]), limits[0], limits[1], pair, number(call[6]));
            case "metadata":
                try (Eelbert eelbert = open(call[1])) {
                    Metadata s = eelbert.metadata;
                    String all = s.maxTokens + " " + s.maxBytes + " " + s.isRegression + " " + s.isPair;
                    return all + " " + s.normalization + " " + labels(s.labels);
                }
            case "classify":
                try (Eelbert eelbert = open(call[1])) {
                    List<String> fields = new ArrayList<>();
                    for (Score score : eelbert.classify(text(call[2]), text(call[3]))) {
                        fields.add(hex(score.label.getBytes(StandardCharsets.UTF_8)) + ":" + score.probability);
                    }
                    return String.join(" ", fields);
                }
            case "windows":
                List<String> found = new ArrayList<>();
                int[] numbers = {number(call[2]), number(call[3]), number(call[4]), number(call[5])};
                for (Window w : Window.find(bytes(call[1]), numbers[0], numbers[1], numbers[2], numbers[3])) {
                    found.add("[" + w.start + "," + w.end + "," + w.tokens + "]");
                }
                return found.toString();
            case "spans":
                return spans(call);
            case "tag":
                try (Eelbert eelbert = open(call[1])) {
                    List<String> fields = new ArrayList<>();
                    Tagged tagged = eelbert.tag(text(call[2]));
                    for (Score score : tagged.scores) {
                        fields.add(score.label + ":" + score.probability);
                    }
                    for (Span s : tagged.spans) {
                        fields.add(s.label + ":" + s.start + ":" + s.end + ":" + s.startByte + ":" + s.endByte + ":" + s.score);
                    }
                    return String.join(" ", fields);
                }
            case "answer":
                try (Eelbert eelbert = open(call[1])) {
                    Answer said = eelbert.answer(text(call[2]), text(call[3]));
                    List<String> scores = new ArrayList<>();
                    for (Score score : said.scores) {
                        scores.add("[" + quoted(score.label) + "," + score.probability + "]");
                    }
                    List<String> labels = new ArrayList<>();
                    for (String label : said.labels) {
                        labels.add(quoted(label));
                    }
                    return "[" + labels + "," + scores + "," + Arrays.toString(said.values) + "]";
                }
            case "embed":
                try (Eelbert eelbert = open(call[1])) {
                    return eelbert.crc32 + " " + Arrays.toString(eelbert.embed(text(call[2])));
                }
            case "search":
                return search(call);
            case "predict":
                try (Eelbert eelbert = open(call[1])) {
                    return "" + eelbert.predict(text(call[2]), text(call[3]))[0];
                }
            default:
                throw new IllegalArgumentException("No such call: " + call[0]);
        }
    }

    /** Bytes of an index, its model, how many to find, and the numbers of an embedding. */
    private static String search(String[] call) {
        Index index = new Index(bytes(call[1]), Long.parseLong(call[2]));
        float[] embedding = new float[call.length - 4];
        for (int i = 0; i < embedding.length; i++) {
            embedding[i] = Float.parseFloat(call[i + 4]);
        }
        List<String> found = new ArrayList<>();
        for (Match match : index.search(embedding, number(call[3]))) {
            String strings = hex(match.text.getBytes(StandardCharsets.UTF_8)) + ":";
            strings += hex(match.label.getBytes(StandardCharsets.UTF_8));
            found.add(match.id + ":" + Math.round(match.score * 127 * 127) + ":" + strings);
        }
        return String.join(" ", found);
    }

    /** A case of golden/spans.json: numbers of slots, names and bytes, then logits times 8, positions, bytes. */
    private static String spans(String[] call) {
        int slots = number(call[1]);
        int count = number(call[2]);
        int place = 4;
        float[][] logits = new float[slots][2 * count + 1];
        for (float[] row : logits) {
            for (int i = 0; i < row.length; i++) {
                row[i] = number(call[place++]) / 8f;
            }
        }
        int[][] positions = new int[slots][2];
        for (int[] pair : positions) {
            pair[0] = number(call[place++]);
            pair[1] = number(call[place++]);
        }
        byte[] data = new byte[number(call[3])];
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) number(call[place++]);
        }
        List<String> names = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            names.add("" + i);
        }
        StringBuilder out = new StringBuilder();
        for (Span s : Span.decode(logits, positions, names, data)) {
            String numbers = s.label + " " + s.startByte + " " + s.endByte + " " + s.start + " " + s.end;
            out.append(numbers).append(String.format(Locale.ROOT, " %.6f ", s.score));
        }
        return out.toString().trim();
    }

    private static String quoted(String label) {
        return label == null ? "null" : '"' + label + '"';
    }

    private static Eelbert open(String path) throws Exception {
        File file = new File(path);
        return Eelbert.fromAsset(new Context(new AssetManager(file.getParentFile())), file.getName());
    }

    private static int number(String text) {
        return Integer.parseInt(text);
    }

    private static String text(String hex) {
        return hex.equals("-") ? null : new String(chars(bytes(hex.substring(1))));
    }

    private static char[] chars(byte[] data) {
        char[] chars = new char[data.length / 2];
        for (int i = 0; i < chars.length; i++) {
            chars[i] = (char) ((data[2 * i] & 0xFF) << 8 | data[2 * i + 1] & 0xFF);
        }
        return chars;
    }

    private static byte[] bytes(String hex) {
        hex = hex.startsWith("x") ? hex.substring(1) : hex;
        byte[] data = new byte[hex.length() / 2];
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return data;
    }

    private static String hex(byte[] data) {
        StringBuilder out = new StringBuilder();
        for (byte b : data) {
            out.append(String.format("%02x", b));
        }
        return out.toString();
    }

    private static String join(int[] numbers) {
        StringBuilder out = new StringBuilder();
        for (int number : numbers) {
            out.append(out.length() == 0 ? "" : " ").append(number);
        }
        return out.toString();
    }

    private static String labels(List<String> labels) {
        List<String> out = new ArrayList<>();
        for (String label : labels) {
            out.add(hex(label.getBytes(StandardCharsets.UTF_8)));
        }
        return String.join(",", out);
    }

    private static String words(List<List<byte[]>> lists) {
        List<String> out = new ArrayList<>();
        for (List<byte[]> list : lists) {
            List<String> words = new ArrayList<>();
            for (byte[] word : list) {
                words.add(hex(word));
            }
            out.add(String.join(",", words));
        }
        return String.join("|", out);
    }
}
