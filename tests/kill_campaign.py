"""Program for the campaign's fault tests: run a campaign with a local pool. Arguments: directory, workers."""

from __future__ import annotations

import sys

from archgrad.bench import Campaign
from archgrad.bench.protocol import driver
from archgrad.bench.protocol.workers import get


def main(directory: str, workers: int) -> None:
    with get("local", workers=workers, threads=1) as executor:
        tally = driver.run(Campaign.open(directory), executor, progress=False)
    print(tally.computed, len(tally.problems))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
