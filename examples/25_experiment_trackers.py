"""Log a training run to TensorBoard, Weights & Biases or MLflow: one callback each, a function of two arguments.

After each epoch nanoae calls  callback(trainer, row)  with row = {"epoch": 1, "loss": 0.08, "val_loss": 0.07}; if it
returns True, training stops. Everything else is up to the tracker. `trainer.model` is the estimator, whose settings
and, at the end, model file can be logged, too. Trackers that are not installed are skipped with a message.
"""

import argparse
import importlib.util
from pathlib import Path

import nanoae

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--out", type=Path, default=Path("trackers"), help="folder for all logs; nothing is uploaded")
parser.add_argument("--quick", action="store_true", help="a short run, for tests")
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)


def settings(model):
    """The run's configuration, as trackers store it."""
    return {name: str(value) for name, value in model.get_params(deep=False).items() if name != "callbacks"}


class WeightsAndBiases:
    """Log to a folder, which `wandb sync` uploads. If you are logged in, leave out `mode`."""

    def __call__(self, trainer, row):
        import wandb

        if row["epoch"] == 1:
            self.run = wandb.init(project="nanoae", mode="offline", dir=args.out, config=settings(trainer.model))
        self.run.log(row, step=row["epoch"])
        if row["epoch"] == trainer.epochs:
            self.run.finish()


class MLflow:
    """Log to an SQLite file; `mlflow ui --backend-store-uri sqlite:///trackers/mlflow.db` shows it."""

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
        print(f"{module} is not installed, skipping it: pip install {module}")

epochs = 2 if args.quick else args.epochs
ae = nanoae.Autoencoder(code_size=8, epochs=epochs, batch_size=32, random_state=0, callbacks=callbacks)
ae.fit(x_train, validation_data=x_test)
best = nanoae.load(args.out / "best.npz")
print(f"{len(ae.history_['loss'])} epochs; best.npz has a test MSE of {best.reconstruction_error(x_test).mean():.5f}")
print((args.out / "log.csv").read_text().splitlines()[-1])
