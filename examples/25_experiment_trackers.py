"""Watch a training in TensorBoard, Weights & Biases or MLflow: a callback for each, which is a function of two things.

After each epoch nanoae calls  callback(trainer, row)  with row = {"epoch": 1, "loss": 0.08, "val_loss": 0.07}; where it
returns True, the training stops. Everything else is the tracker's. `trainer.model` is the estimator: its settings and,
at the end, its file belong into the log, too. A tracker that is not installed is named in one line.
"""

import argparse
import importlib.util
from pathlib import Path

import nanoae

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--out", type=Path, default=Path("trackers"), help="folder for all logs; nothing is sent anywhere")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)


def settings(model):
    """What a tracker keeps as the run's configuration."""
    return {name: str(value) for name, value in model.get_params(deep=False).items() if name != "callbacks"}


class WeightsAndBiases:
    """Logs to a folder; `wandb sync` sends it. With a login, leave `mode` out."""

    def __call__(self, trainer, row):
        import wandb

        if row["epoch"] == 1:
            self.run = wandb.init(project="nanoae", mode="offline", dir=args.out, config=settings(trainer.model))
        self.run.log(row, step=row["epoch"])
        if row["epoch"] == trainer.epochs:
            self.run.finish()


class MLflow:
    """Logs to a file of SQLite; `mlflow ui --backend-store-uri sqlite:///trackers/mlflow.db` shows it."""

    def __call__(self, trainer, row):
        import mlflow

        if row["epoch"] == 1:
            mlflow.set_tracking_uri(f"sqlite:///{args.out / 'mlflow.db'}")
            mlflow.start_run()
            mlflow.log_params(settings(trainer.model))
        mlflow.log_metrics(row, step=row["epoch"])
        if row["epoch"] == trainer.epochs:
            mlflow.end_run()


def tensorboard():
    return nanoae.TensorBoard(args.out / "tensorboard", x_test, data.y_test, shape=(8, 8))


data = nanoae.load_data("digits")
x_train, x_test = data.flat()
callbacks = [nanoae.CSVLog(args.out / "log.csv"), nanoae.BestCheckpoint(args.out / "best.npz")]
for module, make in {"tensorboardX": tensorboard, "wandb": WeightsAndBiases, "mlflow": MLflow}.items():
    if importlib.util.find_spec(module):
        callbacks.append(make())
        print(f"{module}: logged to {args.out}")
    else:
        print(f"{module} is not installed, so its log is left out: pip install {module}")

epochs = 2 if args.quick else args.epochs
ae = nanoae.Autoencoder(code_size=8, epochs=epochs, batch_size=32, random_state=0, callbacks=callbacks)
ae.fit(x_train, validation_data=x_test)
best = nanoae.load(args.out / "best.npz")
print(f"{len(ae.history_['loss'])} epochs; best.npz has a test MSE of {best.reconstruction_error(x_test).mean():.5f}")
print((args.out / "log.csv").read_text().splitlines()[-1])
