package eelbert.android;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** From a model's outputs to answers, by the rules of eelbert_tf/scores.py. */
final class Outputs {
    private static final double HALF = 0.5;

    private final Metadata metadata;

    Outputs(Metadata metadata) {
        this.metadata = metadata;
    }

    /** Probabilities of all classes, in the order of the labels. */
    double[] probabilities(float[] logits) {
        switch (metadata.task) {
            case "regression":
                throw new IllegalStateException("This model gives numbers and no classes: use predict or answer.");
            case "embedding":
                throw new IllegalStateException("This model gives embeddings and no classes: use embed.");
            case "binary":
                double second = sigmoid(logits[0]);
                return new double[] {1 - second, second};
            case "multilabel":
                double[] each = new double[logits.length];
                for (int i = 0; i < logits.length; i++) {
                    each[i] = sigmoid(logits[i]);
                }
                return each;
            default:
                return softmax(logits);
        }
    }

    /** The classes with their probabilities, the likeliest first. */
    List<Score> rank(float[] logits) {
        double[] probabilities = probabilities(logits);
        List<Score> scores = new ArrayList<>();
        for (int i = 0; i < probabilities.length; i++) {
            scores.add(new Score(metadata.labels.get(i), probabilities[i]));
        }
        Collections.sort(scores, (a, b) -> Double.compare(b.probability, a.probability));
        return scores;
    }

    /** What is said of a text, in one form for every task. */
    Answer answer(float[] logits) {
        List<String> given = new ArrayList<>();
        if (metadata.isRegression || metadata.isEncoder) {
            return new Answer(given, new ArrayList<>(), logits);
        }
        List<Score> scores = rank(logits);
        for (Score score : scores) {
            if (isGiven(score, scores.get(0)) && score.label != null) {
                given.add(score.label);
            }
        }
        return new Answer(given, scores, logits);
    }

    private boolean isGiven(Score score, Score best) {
        int place = metadata.labels.indexOf(score.label);
        switch (metadata.task) {
            case "binary":
                double second = place == 1 ? score.probability : 1 - score.probability;
                return (place == 1) == (second >= threshold(0));
            case "multilabel":
                return score.probability >= threshold(place);
            default:
                return score == best;
        }
    }

    private double threshold(int place) {
        return metadata.thresholds == null ? HALF : metadata.thresholds.get(place);
    }

    static double[] softmax(float[] logits) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            greatest = Math.max(greatest, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - greatest);
        }
        double[] shares = new double[logits.length];
        for (int i = 0; i < logits.length; i++) {
            shares[i] = Math.exp(logits[i] - greatest) / sum;
        }
        return shares;
    }

    private static double sigmoid(double logit) {
        return 1 / (1 + Math.exp(-logit));
    }
}
