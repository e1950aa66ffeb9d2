"""Everything that is measured of running apps, in one go on one machine, as Markdown.

    uv run python -m tests.bench [--quick] [--rounds 5] [--only webhooks access start] [--variants worker-d1 ...]

What is generated is measured by commands of their own: `tests.bench.generation` and `tests.bench.bundle`.
"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

from tests.bench import access, start, webhooks
from tests.bench.effort import chosen, parser
from tests.bench.servers import projects

PARTS = {"webhooks": webhooks.report, "access": access.report, "start": start.report}


def main() -> None:
    """Print the tables."""
    made = parser(__doc__)
    made.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="these parts")
    options = made.parse_args()
    variants, effort = chosen(options)
    began = datetime.now(UTC)
    print(f"{os.cpu_count()} cores of {platform.machine()}, load at the beginning {_load()}.", flush=True)
    with projects() as (generated, root):
        for part in options.only:
            PARTS[part](variants, effort, generated, root)
            print(f"\nLoad after this part: {_load()}.", flush=True)
    minutes = (datetime.now(UTC) - began).total_seconds() / 60
    print(f"\nMeasured on {began:%Y-%m-%d} in {minutes:.0f} min. The load counts our own work too.")


def _load() -> str:
    return ", ".join(f"{load:.1f}" for load in os.getloadavg()) + " (1, 5, 15 min)"


if __name__ == "__main__":
    main()
