package eelbert.android;

import java.io.ByteArrayOutputStream;

/** A token of a text: a word, or a sign by itself. */
final class Token {
    /** The first byte in the text. */
    final int start;
    /** The byte behind the last one in the text. */
    int end;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    Token(int start) {
        this.start = start;
    }

    void add(Folding character, int end) {
        bytes.write(character.bytes, 0, character.bytes.length);
        this.end = end;
    }

    /** Its bytes as the model sees them. */
    byte[] bytes() {
        return bytes.toByteArray();
    }
}
