"""Put the data of the examples into the workspace's default datastore.

``train-images/<digit>/<number>.pgm`` are 1,797 handwritten digits of 8 by 8 pixels, ``train-dataset/iris.csv`` are the
measures of 150 iris flowers; both come with scikit-learn.
"""

import argparse
import csv
import tempfile
from pathlib import Path

from sklearn.datasets import load_digits, load_iris

from dag_factory import Workspace


def write_digits(folder: Path) -> int:
    """Write each digit as a binary PGM image into a folder of its label, and return how many there are."""
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(label) / f"{number:04}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P5 8 8 16\n" + bytes(int(pixel) for pixel in image.flat))
    return len(digits.images)


def write_iris(path: Path) -> int:
    """Write the iris data as CSV and return the number of its rows."""
    iris = load_iris()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sepal_length", "sepal_width", "petal_length", "petal_width", "species"])
        for measures, kind in zip(iris.data, iris.target, strict=True):
            writer.writerow([*measures, iris.target_names[kind]])
    return len(iris.data)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, default=Path(__file__).parent, help="its file or folder")
    datastore = Workspace.from_config(parser.parse_args().workspace).get_default_datastore()
    with tempfile.TemporaryDirectory() as folder:
        images = write_digits(Path(folder, "train-images"))
        rows = write_iris(Path(folder, "train-dataset/iris.csv"))
        datastore.upload(folder, overwrite=True, show_progress=False)
    print(f"{images} images and {rows} rows are in datastore {datastore.name!r}")


if __name__ == "__main__":
    main()
