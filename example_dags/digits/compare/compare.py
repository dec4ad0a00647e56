"""Test the trained models on images that they have not seen; report the best of them."""

import argparse
import json
from pathlib import Path

import joblib
import numpy as np

from airflow_ml_pipelines.runtime import Run


def plot_confusion(title: str, labels: np.ndarray, predicted: np.ndarray):
    """Return a figure that shows how often each digit was taken for each other."""
    from matplotlib.figure import Figure

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, predicted), 1)
    figure = Figure(figsize=(5, 5), layout="tight")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(
                column, row, str(count), ha="center", va="center", color="white" if row == column else "black"
            )
    axes.set(title=title, xlabel="predicted", ylabel="digit", xticks=range(10), yticks=range(10))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--model", type=Path, action="append", required=True)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()

    images = np.load(options.prepared / "test-images.npy")
    labels = np.load(options.prepared / "test-labels.npy")
    run = Run.get_context()
    predictions = {}
    for path in options.model:
        model = joblib.load(path / "model.joblib")
        predictions[type(model).__name__] = model.predict(images)
    accuracy = {name: float((predicted == labels).mean()) for name, predicted in predictions.items()}
    for name, value in accuracy.items():
        run.log_row("test_accuracy", model=name, accuracy=value)

    best = max(accuracy, key=accuracy.__getitem__)
    run.log("best_accuracy", accuracy[best])
    figure = plot_confusion(f"{best}: {accuracy[best]:.3f}", labels, predictions[best])
    run.log_image("confusion_matrix", plot=figure)
    options.report.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.report / "confusion_matrix.png")
    report = {"best": best, "test_images": len(labels), "accuracy": accuracy}
    (options.report / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
