package eelbert.android;

import android.content.Context;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import org.tensorflow.lite.Interpreter;

/**
 * Classifies texts with a file from {@code eelbert convert}, on LiteRT.
 *
 * <pre>{@code
 * Eelbert eelbert = Eelbert.fromAsset(context, "model.tflite");
 * String label = eelbert.classify("turn on the lights").get(0).label;
 * }</pre>
 *
 * <p>Safe to share between threads: one text goes through at a time.
 */
public final class Eelbert implements AutoCloseable {
    /** Labels, limits and kind of the model. */
    public final Metadata metadata;

    /** CRC-32 of the file, by which an index knows its model. */
    public final long crc32;

    private final Interpreter interpreter;

    /**
     * Loads a model.
     *
     * @param file the bytes of the file.
     * @throws IllegalArgumentException if `eelbert convert` did not write it, or it is damaged.
     */
    public Eelbert(byte[] file) {
        metadata = Metadata.read(file);
        CRC32 sum = new CRC32();
        sum.update(file);
        crc32 = sum.getValue();
        ByteBuffer buffer = ByteBuffer.allocateDirect(file.length).order(ByteOrder.nativeOrder());
        buffer.duplicate().put(file);
        interpreter = new Interpreter(buffer, new Interpreter.Options().setNumThreads(1));
    }

    /** Loads a model from the app's assets. */
    public static Eelbert fromAsset(Context context, String name) throws IOException {
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        try (InputStream asset = context.getAssets().open(name)) {
            byte[] part = new byte[1 << 16];
            for (int count = asset.read(part); count >= 0; count = asset.read(part)) {
                file.write(part, 0, count);
            }
        }
        return new Eelbert(file.toByteArray());
    }

    /**
     * The classes of a text with their probabilities, the likeliest first; where the model can refuse a text, a score
     * without a label is that of none of them.
     *
     * @throws IllegalStateException if the model gives a number and no classes.
     */
    public List<Score> classify(String text) {
        return classify(text, null);
    }

    /**
     * The classes of a pair of texts with their probabilities, the likeliest first.
     *
     * @throws IllegalStateException if the model gives a number and no classes.
     */
    public List<Score> classify(String text, String second) {
        if (metadata.isTagger) {
            throw new IllegalStateException("This model finds spans: use tag.");
        }
        return new Outputs(metadata).rank(predict(text, second));
    }

    /** What the model says of a text, in one form for every task. */
    public Answer answer(String text) {
        return answer(text, null);
    }

    /**
     * What the model says of a pair of texts, in one form for every task.
     *
     * @param second the second text of a pair, or null.
     */
    public Answer answer(String text, String second) {
        if (metadata.isTagger) {
            throw new IllegalStateException("This model finds spans: use tag.");
        }
        return new Outputs(metadata).answer(predict(text, second));
    }

    /**
     * The model's raw output: logits, or a regression's numbers. Of a text that is read in several windows it is their
     * mean.
     *
     * @param second the second text of a pair, or null.
     */
    public synchronized float[] predict(String text, String second) {
        float[][] output = new float[1][metadata.outputs];
        double[] mean = new double[metadata.outputs];
        List<Double> shares = new ArrayList<>();
        List<byte[]> parts = Text.parts(text, second, metadata, shares);
        for (int window = 0; window < parts.size(); window++) {
            byte[] data = parts.get(window);
            String name = metadata.isEncoder ? "embedding" : "logits";
            run(data, metadata.lengthFor(data), Collections.singletonMap(name, output));
            for (int i = 0; i < mean.length; i++) {
                mean[i] += shares.get(window) * output[0][i];
            }
        }
        float[] logits = new float[mean.length];
        for (int i = 0; i < mean.length; i++) {
            logits[i] = (float) mean[i];
        }
        return logits;
    }

    /**
     * The embedding of a text: a vector of length 1.
     *
     * @throws IllegalStateException if the model gives something else.
     */
    public float[] embed(String text) {
        if (!metadata.isEncoder) {
            throw new IllegalStateException("This model gives no embeddings.");
        }
        return predict(text, null);
    }

    /**
     * The spans of a text, and its classes where texts have some.
     *
     * @throws IllegalStateException if the model finds no spans.
     */
    public synchronized Tagged tag(String text) {
        if (!metadata.isTagger) {
            throw new IllegalStateException("This model finds no spans: use classify or predict.");
        }
        byte[] data = Text.toBytes(text, null, metadata.maxBytes);
        Length length = metadata.lengthFor(data);
        int slots = length.tokens;
        float[][][] tags = new float[1][slots][2 * metadata.spanNames.size() + 1];
        int[][][] positions = new int[1][slots][2];
        float[][] label = new float[1][metadata.labels.size()];
        Map<String, Object> outputs = new LinkedHashMap<>();
        outputs.put("tags", tags);
        outputs.put("positions", positions);
        if (label[0].length > 0) {
            outputs.put("label", label);
        }
        run(data, length, outputs);
        List<Span> spans = Span.decode(tags[0], positions[0], metadata.spanNames, data);
        return new Tagged(spans, new Outputs(metadata).rank(label[0]));
    }

    /** Runs the model's graph of a length on the bytes of one text. */
    private void run(byte[] data, Length length, Map<String, Object> outputs) {
        Map<String, Object> inputs = Collections.singletonMap("bytes", new int[][] {Text.pad(data, length.bytes)});
        interpreter.runSignature(inputs, outputs, length.signature);
    }

    /** Whether the model reads only a part of a text, since it is longer than it has tokens or bytes for. */
    public boolean isTruncated(String text, String second) {
        if (second == null && metadata.maxWindows > 1) {
            return Text.isTruncated(text, metadata);
        }
        return Text.isTruncated(
                text, second, metadata.maxTokens, metadata.maxBytes, metadata.isPair, metadata.normalization);
    }

    /** Frees the model's memory. */
    @Override
    public synchronized void close() {
        interpreter.close();
    }
}
