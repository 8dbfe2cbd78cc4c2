"""The logic of a site as `tieline check` looks at it: the one place where the site file meets the compiler."""

from __future__ import annotations

from gateway.config.cli import Checked, Problem
from gateway.config.site import Site


def checked_logic(site: Site) -> Checked | None:
    """What is wrong with the programs and their map; None where the site has no logic. Raises OSError."""
    if site.logic is None:
        return None
    from plc.language.diagnostics import as_json, as_text  # not above: only a site with logic pays for it
    from plc.site import check_logic

    report = check_logic(site)
    problems = tuple(Problem(as_text(one), as_json(one), one.severity == "error") for one in report.problems)
    return Checked(report.faults, problems, report.counts)
