"""Reads the visible Parquet files below a directory by Arrow's C++ library: read_parquet.py DIR prints their rows, a line of
JSON each, file by file in the order of their names."""

import json
import os
import sys

import pyarrow.parquet

files = [
    (name, folder)
    for folder, _, names in os.walk(sys.argv[1])
    for name in names
    if name.endswith(".parquet") and not name.startswith(".")
]
for name, folder in sorted(files):
    file = pyarrow.parquet.ParquetFile(os.path.join(folder, name))
    for batch in file.iter_batches():
        for row in batch.to_pylist():
            print(json.dumps(row, separators=(",", ":")))
