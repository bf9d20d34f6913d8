package eelbert.android;

/** How much of a text one of a file's graphs reads. */
final class Length {
    /** Token slots, [CLS] and [SEP]s included. */
    final int tokens;
    /** Bytes of its input. */
    final int bytes;
    /** The name of its signature. */
    final String signature;

    Length(int tokens, int bytes, String signature) {
        this.tokens = tokens;
        this.bytes = bytes;
        this.signature = signature;
    }
}
