"""In a scikit-learn pipeline: are codes better features than pixels?

An Autoencoder is a scikit-learn transformer: it can be cloned, used in a Pipeline, and tuned by GridSearchCV. Two
questions, each with logistic regression as the classifier:

1. all labels    raw pixels, PCA or an autoencoder first? The code size is chosen by cross-validation.
2. few labels    images are cheap, labels are expensive. The features are learned from all images, without labels; the
                 classifier sees only 50, 100 or 300 labelled ones. Mean over the same 10 random choices for all.

The test images are used only at the end. Do not expect too much: with all labels, the raw pixels of such easy images
are hard to beat; a code offers fewer numbers, and better results than PCA from few labels.
"""

import argparse

import numpy as np

from nanoae import PCA, Autoencoder, load_data

try:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
except ImportError:
    raise SystemExit("this example needs scikit-learn: pip install scikit-learn") from None

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
epochs, repeats = (3, 1) if args.quick else (args.epochs, 10)

data = load_data("digits")
(x_train, x_test), y_train, y_test = data.flat(), data.y_train, data.y_test

autoencoder = Autoencoder(activation="tanh", epochs=epochs, batch_size=32, random_state=0)
features = {
    "raw pixels": ("passthrough", {}),
    "PCA": (PCA(), {"features__n_components": [8, 16, 32]}),
    "autoencoder": (autoencoder, {"features__code_size": [8, 16, 32]}),
}

print("1. all 1,437 labels: 3-fold cross-validation, then the test images once")
for name, (transformer, grid) in features.items():
    steps = [("features", transformer), ("scale", StandardScaler())]
    pipeline = Pipeline([*steps, ("classify", LogisticRegression(max_iter=2000))])
    search = GridSearchCV(pipeline, grid, cv=3).fit(x_train, y_train)
    chosen = ", ".join(f"{key.split('__')[1]}={value}" for key, value in search.best_params_.items())
    accuracy = search.score(x_test, y_test)
    print(f"   {name:<12} cv {search.best_score_:.3f}   test {accuracy:.3f}   {chosen}")

print("\n2. few labels: test accuracy, 16 numbers per image (raw: 64), learned without labels")
pca, autoencoder = PCA(16).fit(x_train), autoencoder.set_params(code_size=16).fit(x_train)
sets = {
    "raw pixels": (x_train, x_test),
    "PCA": (pca.transform(x_train), pca.transform(x_test)),
    "autoencoder": (autoencoder.transform(x_train), autoencoder.transform(x_test)),
}
print(f"   {'labels':<12}" + "".join(f"{n:8}" for n in (50, 100, 300)))
for name, (train, test) in sets.items():
    line = f"   {name:<12}"
    for n in (50, 100, 300):
        scores = []
        for seed in range(repeats):
            few = np.random.default_rng(seed).choice(len(train), n, replace=False)
            scaler = StandardScaler().fit(train)
            classifier = LogisticRegression(max_iter=2000)
            classifier.fit(scaler.transform(train[few]), y_train[few])
            scores.append(classifier.score(scaler.transform(test), y_test))
        line += f"{np.mean(scores):8.3f}"
    print(line)
