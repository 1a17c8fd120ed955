"""The script that the benchmark compares with: a CSV through ``model.predict`` into JSON, as a notebook would do it.

Run: ``python benchmarks/naive_job.py MODEL.keras ROWS.csv RESULTS.json``; prints its seconds by step.
"""

import json
import sys
import time
from pathlib import Path

import keras
import pandas as pd


def main(model_file: str, rows_file: str, results_file: str) -> dict[str, float]:
    """Score the file; seconds by step, without those in which TensorFlow was imported and the model loaded."""
    model = keras.models.load_model(model_file)
    started = time.perf_counter()
    rows = pd.read_csv(rows_file)
    read = time.perf_counter()
    answers = model.predict(rows, verbose=0)
    predicted = time.perf_counter()
    with Path(results_file).open("w") as results:
        json.dump({"results": answers.tolist()}, results)
    written = time.perf_counter()
    return {"read": read - started, "predict": predicted - read, "write": written - predicted}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
