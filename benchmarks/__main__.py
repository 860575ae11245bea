"""Run the measurements and print one table: ``python -m benchmarks [GROUP ...]``; all groups without a name.

Every line has its peer, measured in the same run. ``var/bench.json`` keeps the numbers. What a benchmark makes lies in
``var/bench`` and is made once; the folder may be deleted at any time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from knossos.errors import EXIT_MISSING, MissingDependency
from knossos.settings import ROOT

#: The groups, in the order in which they run.
GROUPS = ("engine", "inspection", "conversion", "watchers", "scripts", "repository", "uploads")


def main(arguments: list[str]) -> int:
    """Run the groups that were named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("group", nargs="*", choices=[*GROUPS, []], help="default: all")
    groups = parser.parse_args(arguments).group or GROUPS
    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for group in groups:
        print(f"measuring: {group}", file=sys.stderr)
        try:
            rows += importlib.import_module(f"benchmarks.{group}").run(folder)
        except MissingDependency as error:
            print(error, file=sys.stderr)
            return EXIT_MISSING
    print(table(rows))
    report = folder.parent / "bench.json"
    temporary = Path(f"{report}.part")
    temporary.write_text(json.dumps(rows, indent=1) + "\n")
    temporary.replace(report)
    return 0


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | ours | peer | unit | ratio | at most |", "|---|---:|---|---|---:|---:|"]
    for row in rows:
        peer = f"{row['peer']:,} ({row['peer_name']})"
        limit = "" if row["limit"] is None else row["limit"]
        lines.append(f"| {row['name']} | {row['ours']:,} | {peer} | {row['unit']} | {row['ratio']} | {limit} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
