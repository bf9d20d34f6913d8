package androidx.lifecycle;

/** A value that one thread sets and another reads. */
public class MutableLiveData<T> extends LiveData<T> {
    public MutableLiveData(T value) {
        this.value = value;
    }

    public void postValue(T value) {
        this.value = value;
    }
}
