"""Measure Penstock beside a bare ASGI app, in one run.

python -m bench                     everything, about three minutes
python -m bench sqs invoke          some measures
python -m bench --seconds 2 --json figures.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import servers
from bench.buses import bus
from bench.http2 import http2
from bench.inside import inside
from bench.measures import MEASURES as OTHERS
from bench.measures import Bench, Row, fsync_ms

MEASURES = OTHERS | {"bus": bus, "http2": http2, "inside": inside}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], help=f"which: {', '.join(MEASURES)} (all)")
    parser.add_argument("--seconds", type=float, default=4, help="how long each load lasts (4)")
    parser.add_argument("--data", type=Path, help="a folder on the disk to measure (the system's temporary one)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=arguments.data) as folder:
        fsync = fsync_ms(Path(folder))
        rows = [Row("fdatasync of 8 KB, p50", fsync, "ms")]
        with servers.bare() as server:
            bench = Bench(arguments.seconds, Path(folder), server)
            bench.bare_load(16, 1)
            for clients in (1, 16, 64):
                load = bench.bare_load(clients, arguments.seconds / 2)
                rows.append(Row(f"bare ASGI app, {clients} clients", load.per_second, "/s", 1.0, bench.note(load)))
            for name in arguments.measures or MEASURES:
                with console.status(f"measuring {name}"):
                    rows += MEASURES[name](bench)
    console.print(_table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def _table(rows: list[Row]) -> Table:
    table = Table("what", "figure", "× bare", "goal", "note")
    for row in rows:
        figure = f"{row.value:,.0f} {row.unit}" if row.value >= 100 else f"{row.value:.2f} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.what, figure, ratio, row.goal, row.note)
    return table


if __name__ == "__main__":
    main()
