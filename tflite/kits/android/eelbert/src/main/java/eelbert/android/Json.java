package eelbert.android;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads JSON into maps, lists, strings, doubles, booleans and null: as much as a model's metadata need. */
final class Json {
    private final String text;
    private int next;

    private Json(String text) {
        this.text = text;
    }

    /**
     * Reads an object.
     *
     * @throws IllegalArgumentException if the text is anything else.
     */
    static Map<?, ?> parseObject(String text) {
        Json json = new Json(text);
        try {
            Object value = json.value();
            json.skipSpace();
            if (value instanceof Map && json.next == text.length()) {
                return (Map<?, ?>) value;
            }
        } catch (StringIndexOutOfBoundsException error) {
            throw json.unexpected();
        }
        throw json.unexpected();
    }

    private Object value() {
        skipSpace();
        char c = text.charAt(next);
        if (c == '{') {
            return object();
        } else if (c == '[') {
            return list();
        } else if (c == '"') {
            return string();
        }
        int start = next;
        while (next < text.length() && ",]} \n\r\t".indexOf(text.charAt(next)) < 0) {
            next++;
        }
        String word = text.substring(start, next);
        switch (word) {
            case "null":
                return null;
            case "true":
                return true;
            case "false":
                return false;
            default:
                return Double.valueOf(word); // NumberFormatException is an IllegalArgumentException
        }
    }

    private Map<String, Object> object() {
        Map<String, Object> fields = new LinkedHashMap<>();
        next++;
        if (!accept('}')) {
            do {
                skipSpace();
                String name = string();
                expect(':');
                fields.put(name, value());
            } while (accept(','));
            expect('}');
        }
        return fields;
    }

    private List<Object> list() {
        List<Object> items = new ArrayList<>();
        next++;
        if (!accept(']')) {
            do {
                items.add(value());
            } while (accept(','));
            expect(']');
        }
        return items;
    }

    private String string() {
        expect('"');
        StringBuilder out = new StringBuilder();
        for (char c = text.charAt(next++); c != '"'; c = text.charAt(next++)) {
            if (c != '\\') {
                out.append(c);
                continue;
            }
            c = text.charAt(next++);
            int escape = "bfnrt".indexOf(c);
            if (c == 'u') {
                out.append((char) Integer.parseInt(text.substring(next, next += 4), 16));
            } else {
                out.append(escape < 0 ? c : "\b\f\n\r\t".charAt(escape));
            }
        }
        return out.toString();
    }

    private boolean accept(char c) {
        skipSpace();
        if (text.charAt(next) != c) {
            return false;
        }
        next++;
        return true;
    }

    private void expect(char c) {
        if (!accept(c)) {
            throw unexpected();
        }
    }

    private void skipSpace() {
        while (next < text.length() && text.charAt(next) <= ' ') {
            next++;
        }
    }

    private IllegalArgumentException unexpected() {
        return new IllegalArgumentException("Not JSON at character " + next);
    }
}
