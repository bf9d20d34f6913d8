package eelbert.android;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;

/**
 * Searches an index that {@code eelbert index} wrote; docs/embeddings.md is the specification.
 *
 * <pre>{@code
 * Index index = new Index(file, eelbert.crc32);
 * String answer = index.search(eelbert.embed("how do I pay?"), 1).get(0).label;
 * }</pre>
 */
public final class Index {
    private static final byte[] MAGIC = "eelindex".getBytes(StandardCharsets.US_ASCII);
    private static final int VERSION = 1;
    private static final int OWN_CRC = 16;
    private static final int HEADER = 32;
    private static final int UNIT = 127;

    /** Texts in the index. */
    public final int count;
    /** Numbers of an embedding that are kept. */
    public final int width;

    private final ByteBuffer file;

    /**
     * Reads an index.
     *
     * @param data the bytes of the file.
     * @param modelCrc32 {@code crc32} of the model that searches.
     * @throws IllegalArgumentException if it is no index, damaged, or of another model.
     */
    public Index(byte[] data, long modelCrc32) {
        file = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
        if (data.length < HEADER || !Arrays.equals(Arrays.copyOf(data, MAGIC.length), MAGIC)) {
            throw new IllegalArgumentException("This is not a file that eelbert index wrote.");
        }
        if (file.getInt(8) != VERSION) {
            throw new IllegalArgumentException(
                    "The index has version " + file.getInt(8) + "; this class reads version " + VERSION + ".");
        }
        CRC32 sum = new CRC32();
        sum.update(data, 0, OWN_CRC);
        sum.update(new byte[4], 0, 4);
        sum.update(data, OWN_CRC + 4, data.length - OWN_CRC - 4);
        if (file.getInt(12) != data.length || file.getInt(OWN_CRC) != (int) sum.getValue()) {
            throw new IllegalArgumentException("The index is damaged: its size or checksum differs. Copy it again.");
        }
        if (file.getInt(20) != (int) modelCrc32) {
            throw new IllegalArgumentException("The index was made with another model: make it again.");
        }
        count = file.getInt(24);
        width = file.getInt(28);
    }

    /**
     * The nearest texts, the nearest first.
     *
     * @param embedding what the model's {@code embed} gave.
     * @param top how many texts to find.
     */
    public List<Match> search(float[] embedding, int top) {
        int[] wanted = quantize(embedding);
        int[] products = new int[count];
        int[] ids = new int[Math.min(top, count)];
        int found = 0;
        for (int id = 0; id < count; id++) {
            for (int i = 0; i < width; i++) {
                products[id] += file.get(rows() + id * width + i) * wanted[i];
            }
            if (found == ids.length && (found == 0 || products[id] <= products[ids[found - 1]])) {
                continue;
            }
            int place = found < ids.length ? found++ : found - 1;
            for (; place > 0 && products[ids[place - 1]] < products[id]; place--) {
                ids[place] = ids[place - 1];
            }
            ids[place] = id;
        }
        List<Match> matches = new ArrayList<>();
        for (int id : ids) {
            matches.add(new Match(id, products[id] / (double) (UNIT * UNIT), string(2 * id), string(2 * id + 1)));
        }
        return matches;
    }

    /** The first numbers of an embedding, at length 1, as bytes. */
    private int[] quantize(float[] embedding) {
        if (width > embedding.length) {
            throw new IllegalArgumentException(
                    "The embedding has " + embedding.length + " numbers, the index " + width + ".");
        }
        double sum = 0;
        for (int i = 0; i < width; i++) {
            sum += (double) embedding[i] * embedding[i];
        }
        double length = width < embedding.length && sum > 0 ? Math.sqrt(sum) : 1;
        int[] bytes = new int[width];
        for (int i = 0; i < width; i++) {
            bytes[i] = (int) Math.floor(UNIT * (embedding[i] / length) + 0.5);
        }
        return bytes;
    }

    private int rows() {
        return HEADER + 4 * (2 * count + 1);
    }

    private String string(int which) {
        int start = file.getInt(HEADER + 4 * which);
        int end = file.getInt(HEADER + 4 * (which + 1));
        return new String(file.array(), rows() + count * width + start, end - start, StandardCharsets.UTF_8);
    }
}
