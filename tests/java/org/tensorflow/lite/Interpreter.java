package org.tensorflow.lite;

import java.lang.reflect.Array;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Scanner;
import java.util.zip.CRC32;

/**
 * What the helper calls of LiteRT's class. The model runs in LiteRT itself, at the other end of standard output and
 * input: a line with the input goes out, a line with the output comes back.
 */
public final class Interpreter implements AutoCloseable {
    public static final Scanner ANSWERS = new Scanner(System.in, "UTF-8");

    private boolean closed;

    /** LiteRT's options. */
    public static class Options {
        public Options setNumThreads(int threads) {
            return this;
        }
    }

    public Interpreter(ByteBuffer model, Options options) {
        if (!model.isDirect() || model.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException("LiteRT wants a direct buffer in the machine's byte order.");
        }
        CRC32 sum = new CRC32();
        sum.update(model);
        System.out.println("load " + Long.toHexString(sum.getValue()));
    }

    /** A line with the signature and the input goes out, one with all outputs, one behind the other, comes back. */
    public void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String signature) {
        if (closed) {
            throw new IllegalStateException("The interpreter has been closed.");
        }
        StringBuilder line = new StringBuilder("run ").append(signature);
        for (int value : ((int[][]) inputs.get("bytes"))[0]) {
            line.append(' ').append(value);
        }
        System.out.println(line);
        String[] numbers = ANSWERS.nextLine().split(" ");
        int place = 0;
        for (Object output : outputs.values()) {
            place = fill(output, numbers, place);
        }
        if (numbers.length != place) {
            throw new IllegalArgumentException("The model has " + numbers.length + " outputs.");
        }
    }

    private static int fill(Object array, String[] numbers, int place) {
        if (array instanceof Object[]) {
            for (Object part : (Object[]) array) {
                place = fill(part, numbers, place);
            }
            return place;
        }
        for (int i = 0; i < Array.getLength(array); i++, place++) {
            int bits = Integer.parseUnsignedInt(numbers[place]);
            if (array instanceof int[]) {
                Array.setInt(array, i, bits);
            } else {
                Array.setFloat(array, i, Float.intBitsToFloat(bits));
            }
        }
        return place;
    }

    @Override
    public void close() {
        closed = true;
    }
}
