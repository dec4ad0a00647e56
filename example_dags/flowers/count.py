"""Counts the flowers of each species in the CSV files of a folder."""

import collections
import csv
import json
import pathlib
import sys

source, target = map(pathlib.Path, sys.argv[1:])
counts = collections.Counter()
for file in sorted(source.glob("*.csv")):
    with file.open() as rows:
        counts.update(row["species"] for row in csv.DictReader(rows))
(target / "counts.json").write_text(json.dumps(counts, indent=2))
print(dict(counts))
