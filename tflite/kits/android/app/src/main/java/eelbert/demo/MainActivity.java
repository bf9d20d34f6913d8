package eelbert.demo;

import android.app.Activity;
import android.os.Bundle;
import android.text.Editable;
import android.text.TextWatcher;
import android.view.View;
import android.widget.EditText;
import android.widget.LinearLayout;
import android.widget.ProgressBar;
import android.widget.TextView;
import eelbert.android.Answer;
import eelbert.android.Eelbert;
import eelbert.android.Score;
import eelbert.android.Span;
import eelbert.android.Tagged;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Classifies what is typed, with a bar for each of the likeliest classes. */
public final class MainActivity extends Activity implements TextWatcher {
    private static final int MOST_BARS = 8;
    private static final String NONE = "–";

    private final List<TextView> names = new ArrayList<>();
    private final List<ProgressBar> bars = new ArrayList<>();
    private Eelbert eelbert;
    private EditText text;
    private EditText second;
    private TextView answer;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        text = findViewById(R.id.text);
        second = findViewById(R.id.second);
        answer = findViewById(R.id.answer);
        try {
            eelbert = Eelbert.fromAsset(this, "model.tflite");
        } catch (IOException | IllegalArgumentException error) {
            answer.setText(error.getMessage());
            return;
        }
        second.setVisibility(eelbert.metadata.isPair ? View.VISIBLE : View.GONE);
        LinearLayout page = findViewById(R.id.page);
        int classes = eelbert.metadata.isRegression ? 0 : eelbert.metadata.labels.size();
        for (int i = 0; i < Math.min(classes, MOST_BARS); i++) {
            names.add(new TextView(this));
            bars.add(new ProgressBar(this, null, android.R.attr.progressBarStyleHorizontal));
            bars.get(i).setMax(1000);
            page.addView(names.get(i));
            page.addView(bars.get(i));
        }
        text.addTextChangedListener(this);
        second.addTextChangedListener(this);
    }

    @Override
    public void afterTextChanged(Editable typed) {
        String first = text.getText().toString();
        String other = eelbert.metadata.isPair ? second.getText().toString() : null;
        findViewById(R.id.truncated).setVisibility(eelbert.isTruncated(first, other) ? View.VISIBLE : View.GONE);
        if (eelbert.metadata.isRegression) {
            answer.setText(String.format(Locale.getDefault(), "%.3f", eelbert.predict(first, other)[0]));
            return;
        }
        List<Score> scores;
        if (eelbert.metadata.isTagger) {
            Tagged tagged = eelbert.tag(first);
            scores = tagged.scores;
            StringBuilder spans = new StringBuilder(scores.isEmpty() ? "" : scores.get(0).label);
            for (Span span : tagged.spans) {
                spans.append(' ').append(span.label).append(" = ").append(first, span.start, span.end);
            }
            answer.setText(spans);
        } else {
            Answer said = eelbert.answer(first, other);
            scores = said.scores;
            answer.setText(said.labels.isEmpty() ? NONE : said.toString());
        }
        for (int i = 0; i < bars.size(); i++) {
            Score score = scores.get(i);
            double percent = 100 * score.probability;
            String name = score.label == null ? NONE : score.label;
            names.get(i).setText(String.format(Locale.getDefault(), "%s  %.1f %%", name, percent));
            bars.get(i).setProgress((int) Math.round(1000 * score.probability));
        }
    }

    @Override
    public void beforeTextChanged(CharSequence typed, int start, int count, int after) {}

    @Override
    public void onTextChanged(CharSequence typed, int start, int before, int count) {}

    @Override
    protected void onDestroy() {
        super.onDestroy();
        if (eelbert != null) {
            eelbert.close();
        }
    }
}
