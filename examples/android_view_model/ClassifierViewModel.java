package eelbert.example;

import android.app.Application;
import androidx.lifecycle.AndroidViewModel;
import androidx.lifecycle.LiveData;
import androidx.lifecycle.MutableLiveData;
import eelbert.android.Answer;
import eelbert.android.Eelbert;
import java.io.IOException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Classifies what is typed, beside the main thread. Of what is typed meanwhile only the last text counts, so that a slow
 * phone never lags behind. It outlives a rotation of the screen, and the model with it.
 */
public final class ClassifierViewModel extends AndroidViewModel {
    private static final String MODEL = "model.tflite"; // in src/main/assets

    private final MutableLiveData<State> state = new MutableLiveData<>(new State("", null, false, null));
    private final ExecutorService worker = Executors.newSingleThreadExecutor();
    private final AtomicReference<String> waiting = new AtomicReference<>();
    private Eelbert eelbert; // of the worker alone

    public ClassifierViewModel(Application application) {
        super(application);
        worker.execute(this::load);
    }

    /** What to show; changes as soon as a text has been classified. */
    public LiveData<State> state() {
        return state;
    }

    /** Called at every key. */
    public void type(String text) {
        if (waiting.getAndSet(text) == null) {
            worker.execute(this::classify);
        }
    }

    private void load() {
        try {
            eelbert = Eelbert.fromAsset(getApplication(), MODEL);
        } catch (IOException | IllegalArgumentException error) { // missing; damaged, or not one of ours
            state.postValue(new State("", null, false, error.getMessage()));
        }
    }

    private void classify() {
        String text = waiting.getAndSet(null);
        if (eelbert != null) {
            state.postValue(new State(text, eelbert.answer(text), eelbert.isTruncated(text, null), null));
        }
    }

    @Override
    protected void onCleared() {
        worker.execute(
                () -> {
                    if (eelbert != null) {
                        eelbert.close();
                    }
                });
        worker.shutdown();
    }

    /** What a screen shows. */
    public static final class State {
        /** The text that the answer is about. */
        public final String text;
        /** Null before the first text. */
        public final Answer answer;
        /** Whether the model reads only a part of the text. */
        public final boolean isTruncated;
        /** Why there is no model, or null. */
        public final String error;

        State(String text, Answer answer, boolean isTruncated, String error) {
            this.text = text;
            this.answer = answer;
            this.isTruncated = isTruncated;
            this.error = error;
        }
    }
}
