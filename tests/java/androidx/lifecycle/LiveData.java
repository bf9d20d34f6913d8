package androidx.lifecycle;

/** A value that one thread sets and another reads. */
public class LiveData<T> {
    volatile T value;

    public T getValue() {
        return value;
    }
}
