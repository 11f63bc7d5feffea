"""An adversarial autoencoder: codes that follow any prior, because a second network cannot tell them apart from it.

A discriminator learns to distinguish codes from samples of a prior, and the encoder learns to fool it (Makhzani 2015).
This needs no density of the prior, only samples from it. Here the prior is first N(0, I), then ten Gaussians on a ring.
The energy distance of two samples is 0 if they have the same distribution. All three trainings take about 15 s.

17_codes.png     codes of the training images by digit: of a plain autoencoder and of two adversarial ones
17_prior.png     the codes of the ring's autoencoder over samples of the ring
17_samples.png   images decoded from samples of each prior; for the plain one from N(mean, std) of its codes
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import Adam, Adversarial, Autoencoder, Mixture, load_data
from nanoae.report import image_rows, panels

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", choices=("digits", "mnist"), default="digits")
parser.add_argument("--epochs", type=int, help="default: 300 on digits, 30 on MNIST")
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figures")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
epochs = 3 if args.quick else args.epochs or (300 if args.data == "digits" else 30)
args.out.mkdir(parents=True, exist_ok=True)

data = load_data(args.data)
x_train, x_test = data.flat()
rng = np.random.default_rng(0)


def energy_distance(x, y):
    """2 E|x - y| - E|x - x'| - E|y - y'| (Szekely & Rizzo 2013), of at most 1,500 rows of each."""
    x, y = x[:1500], y[:1500]

    def mean(a, b):
        return np.sqrt(((a[:, None] - b) ** 2).sum(axis=2)).mean()

    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


models = {"plain": None, "adversarial, N(0, I)": Adversarial(), "adversarial, ring": Adversarial(Mixture.ring(10))}
codes, drawn = {}, {}
for name, bottleneck in models.items():
    ae = Autoencoder(
        code_size=2,
        hidden=(256,),
        output_activation="sigmoid",
        bottleneck=bottleneck,
        optimizer=Adam(1e-3, beta1=0.5),
        batch_size=64,
        epochs=epochs,
        random_state=0,
    ).fit(x_train)
    z = codes[name] = ae.transform(x_train)
    if bottleneck is None:  # no prior: sample from a normal distribution fitted to its codes
        prior, draws = Mixture.standard(2), rng.normal(z.mean(axis=0), z.std(axis=0), (10, 2))
    else:
        prior, draws = ae.prior_, ae.prior_.sample(10, 0)
    drawn[name] = ae.inverse_transform(draws)
    sample, second = prior.sample(1500, 1), prior.sample(1500, 2)
    distance, least = energy_distance(rng.permutation(z), sample), energy_distance(second, sample)
    print(
        f"{name:<21} test MSE {ae.evaluate(x_test)['mse']:.4f}   codes to prior: energy distance {distance:.3f}", end=""
    )
    print(f" (two samples of the prior: {least:.3f})")

print("figure:", panels(args.out / "17_codes.png", codes, data.y_train, "digit"))
ring = {"codes": codes["adversarial, ring"], "the prior": Mixture.ring(10).sample(len(x_train), 0)}
print("figure:", panels(args.out / "17_prior.png", ring))
print("figure:", image_rows(args.out / "17_samples.png", drawn, data.shape, 0, 1, title="Samples of each prior"))
