package androidx.lifecycle;

import android.app.Application;

/** What a view model calls of its base class. */
public class AndroidViewModel {
    private final Application application;

    public AndroidViewModel(Application application) {
        this.application = application;
    }

    /** Whatever the caller takes an application for, as in Android. */
    @SuppressWarnings("unchecked")
    public <T extends Application> T getApplication() {
        return (T) application;
    }

    protected void onCleared() {}

    /** What Android does when a view model's screen has gone for good. */
    public final void clear() {
        onCleared();
    }
}
