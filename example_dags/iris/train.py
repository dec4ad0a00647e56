"""Train a model on the table that the step has as its input ``iris_data``."""

import argparse
import os
import pickle
from pathlib import Path

from azureml.core import Run
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()

    run = Run.get_context()
    table = run.input_datasets["iris_data"].to_pandas_dataframe()
    measures, species = table.drop(columns="species"), table["species"]
    model = KNeighborsClassifier(int(os.environ["AML_PARAMETER_NEIGHBOURS"]))
    accuracy = float(cross_val_score(model, measures, species).mean())
    run.log("accuracy", accuracy)

    options.model.mkdir(parents=True, exist_ok=True)
    (options.model / "model.pickle").write_bytes(pickle.dumps(model.fit(measures, species)))
    print(f"{len(table)} flowers, accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
