package android.content;

import android.content.res.AssetManager;

/** What the helper calls of Android's class: assets, here the files of a folder. */
public class Context {
    private final AssetManager assets;

    public Context(AssetManager assets) {
        this.assets = assets;
    }

    public AssetManager getAssets() {
        return assets;
    }
}
