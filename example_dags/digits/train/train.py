"""Train one model on the prepared images. As written for Azure ML SDK v1: it imports ``azureml.core``."""

import argparse
from pathlib import Path

import joblib
import numpy as np
from azureml.core import Run
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--kind", choices=["logistic", "forest"], required=True)
    parser.add_argument("--regularisation", type=float, default=1.0)
    parser.add_argument("--max-depth", type=int, default=8)
    parser.add_argument("--criterion", choices=["gini", "entropy"], default="gini")
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()

    images = np.load(options.prepared / "train-images.npy")
    labels = np.load(options.prepared / "train-labels.npy")
    if options.kind == "logistic":
        model = LogisticRegression(C=1 / options.regularisation, max_iter=2000)
    else:
        model = RandomForestClassifier(
            60, max_depth=options.max_depth, criterion=options.criterion, random_state=0
        )
    model.fit(images, labels)

    options.model.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, options.model / "model.joblib")
    accuracy = float(model.score(images, labels))
    run = Run.get_context()
    run.log("train_accuracy", accuracy)
    run.tag("model", options.kind)
    print(f"{options.kind}: {accuracy:.3f} of the images it was trained on")


if __name__ == "__main__":
    main()
