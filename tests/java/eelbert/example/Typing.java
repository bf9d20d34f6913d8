package eelbert.example;

import android.app.Application;
import android.content.res.AssetManager;
import java.io.File;

/** Types the arguments behind the first, a folder of assets, and prints what the view model says of the last one. */
final class Typing {
    private Typing() {}

    public static void main(String[] args) throws InterruptedException {
        ClassifierViewModel model = new ClassifierViewModel(new Application(new AssetManager(new File(args[0]))));
        for (int i = 1; i < args.length; i++) {
            model.type(args[i]);
        }
        ClassifierViewModel.State state = model.state().getValue();
        for (int i = 0; i < 3000 && state.error == null && !state.text.equals(args[args.length - 1]); i++) {
            Thread.sleep(10);
            state = model.state().getValue();
        }
        model.clear(); // the JVM ends when the model's thread does
        String answer = state.answer == null ? "null" : state.answer.label;
        System.out.println("=" + answer + "\t" + state.isTruncated + "\t" + state.error);
    }
}
