#!/usr/bin/env python3
"""Summarise a table of measurements: the example of a script with a form.

    handle_csv.py .upload_files/form.json

``form.json`` has what the form of handle_csv.py.json asked for; the table lies beside it. By hand it works with any
``form.json``. Where Knossos runs it, the helper is on its path, and the page shows how far it is and links the result;
without the helper the result is a file in SHARED_DIR, or here.
"""

import csv
import json
import os
import statistics
import sys

try:
    import knossos_script as page
except ImportError:
    page = None

GREEN, BOLD, RESET = "\033[32m", "\033[1m", "\033[0m"


def main():
    path = [argument for argument in sys.argv[1:] if not argument.startswith("--")][-1]
    with open(path, encoding="utf-8") as file:
        form = json.load(file)
    values = read(os.path.join(os.path.dirname(path), form["table"]), form)
    rows = []
    for number, (sample, numbers) in enumerate(sorted(values.items()), 1):
        tell(number / len(values), f"Sample {number} of {len(values)}: {sample}")
        rows.append([sample, len(numbers)] + [round(one, form["decimals"]) for one in summary(numbers)])
        print(f"{BOLD}{sample:<16}{RESET} {len(numbers):>6} values, mean {GREEN}{rows[-1][2]}{RESET}")
    write(rows)
    print(f"{form['title']}: {len(rows)} samples.")


def read(path, form):
    """The numbers of each sample, with the factor that the form gives for it."""
    factors = {sample["name"]: sample["factor"] for sample in form["samples"]}
    separator = {"comma": ",", "semicolon": ";", "tab": "\t"}[form["separator"]]
    values = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file, delimiter=separator)
        for column in ("sample", form["column"]):
            if column not in (table.fieldnames or []):
                sys.exit(f"The table has no column {column!r}; it has {', '.join(table.fieldnames or [])}.")
        for line, row in enumerate(table, 2):
            try:
                number = float(row[form["column"]])
            except (TypeError, ValueError):
                problem = f"line {line}: {row[form['column']]!r} is no number"
                if form["strict"]:
                    sys.exit(problem)
                print(f"{problem}, left out", file=sys.stderr)
                continue
            values.setdefault(row["sample"], []).append(number * (factors.get(row["sample"]) or 1))
    return values


def summary(numbers):
    return statistics.mean(numbers), min(numbers), max(numbers)


def write(rows):
    """The summary as a file that the page links."""
    with open("summary.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["sample", "values", "mean", "least", "largest"], *rows])
    if page:
        page.share("summary.csv", title="The summary")
    elif os.environ.get("SHARED_DIR"):
        os.replace("summary.csv", os.path.join(os.environ["SHARED_DIR"], "summary.csv"))


def tell(fraction, step):
    if page:
        page.progress(fraction, step)


if __name__ == "__main__":
    main()
