package android.app;

import android.content.Context;
import android.content.res.AssetManager;

/** What a view model gets from Android. */
public class Application extends Context {
    public Application(AssetManager assets) {
        super(assets);
    }
}
