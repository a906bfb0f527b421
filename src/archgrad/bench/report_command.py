"""``archgrad bench report``: the statistical report of a campaign or of a file of results."""

from __future__ import annotations

from pathlib import Path

from archgrad.bench.report import write
from archgrad.bench.results import Results
from archgrad.errors import ArchgradError


def report(
    campaign: str | None = None,
    from_: str | None = None,
    out: str | None = None,
    alpha: float = 0.05,
    resamples: int = 2000,
    seed: int = 0,
) -> None:
    """Write the statistical report of a campaign, or of results from a file, and print its path.

    Args:
        campaign: the campaign's YAML file or directory
        from_: instead of a campaign, a Parquet or CSV file of results, or the CSV file of the published runs
        out: the HTML file, or a directory for it; by default in the campaign's directory, or named after the file
        alpha: level of the tests; intervals are of 1 − alpha
        resamples: of the bootstrap
        seed: of the bootstrap
    """
    if (campaign is None) == (from_ is None):
        raise ArchgradError("bench report: give either a campaign, or --from with a .parquet or .csv file of results")
    if campaign is not None:
        from archgrad.bench.commands import reported

        results, directory = reported(campaign)
        target = Path(out) if out else directory / "report.html"
    else:
        results = Results.load(str(from_))
        target = Path(out) if out else Path(f"{Path(str(from_)).stem}-report.html")
    page, tables = write(results, target, alpha=alpha, resamples=resamples, seed=seed)
    print(f"report: {page}")
    print(f"tables: {tables[0].parent} ({len(tables)} files, CSV and LaTeX)")
