"""Read images of digits, a folder a digit, and part them into those to train on and those to test on."""

import argparse
import re
from pathlib import Path

import numpy as np

from airflow_ml_pipelines.runtime import Run

HEADER = re.compile(rb"P5\s+(\d+)\s+(\d+)\s+(\d+)\s")


def read_image(path: Path) -> np.ndarray:
    """Return the grey values of a binary PGM file as numbers from 0 to 1."""
    data = path.read_bytes()
    header = HEADER.match(data)
    if header is None:
        raise SystemExit(f"{path}: expected a binary PGM file, found one that starts with {data[:8]!r}")
    width, height, white = map(int, header.groups())
    return np.frombuffer(data, np.uint8, width * height, header.end()).astype(np.float32) / white


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--test-share", type=float, default=0.25)
    parser.add_argument("--prepared", type=Path, required=True)
    options = parser.parse_args()

    files = sorted(options.images.glob("*/*.pgm"))
    if not files:
        raise SystemExit(f"no */*.pgm in {options.images}")
    images = np.stack([read_image(file) for file in files])
    labels = np.array([int(file.parent.name) for file in files])

    order = np.random.default_rng(seed=0).permutation(len(files))
    test, train = np.split(order, [round(len(files) * options.test_share)])
    options.prepared.mkdir(parents=True, exist_ok=True)
    for name, chosen in (("train", train), ("test", test)):
        np.save(options.prepared / f"{name}-images.npy", images[chosen])
        np.save(options.prepared / f"{name}-labels.npy", labels[chosen])

    run = Run.get_context()
    run.log("train_images", len(train))
    run.log("test_images", len(test))
    for digit in range(10):
        run.log_row("images", digit=digit, count=int((labels == digit).sum()))
    print(f"{len(train)} images to train on, {len(test)} to test on")


if __name__ == "__main__":
    main()
