"""Reads the visible Parquet files below a directory by Arrow's C++ library, and compares them with the records that must
be there: read_parquet.py DIR RECORDS STATIONS"""

import sys

import pyarrow
import pyarrow.dataset

directory, records, stations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
dataset = pyarrow.dataset.dataset(directory, format="parquet", partitioning="hive")
assert dataset.schema.field("n").type == pyarrow.uint64(), dataset.schema
assert dataset.schema.field("text").type == pyarrow.string(), dataset.schema
assert dataset.schema.field("value").nullable and not dataset.schema.field("n").nullable, dataset.schema
table = dataset.to_table().sort_by("n").to_pydict()
assert table["n"] == list(range(records)), f"{len(table['n'])} records, not the {records} that must be there"
columns = ["n", "station", "place", "half", "text", "value"]
for n, station, place, half, text, value in zip(*(table[name] for name in columns)):
    assert station == n // 1000 % stations, f"{n} is of station {station}"
    assert place == station and half == station % 2, f"{n} lies in half={half}/place={place}"
    assert text == "x" * (n % 40), f"{n} has the text {text!r}"
    assert value == (n - 500 if n % 3 > 0 else None), f"{n} has the value {value}"
print(f"{records} records read by pyarrow {pyarrow.__version__}")
