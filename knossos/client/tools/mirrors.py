"""The command ``mirrors``: check every link of a repository, and write an HTML report."""

from __future__ import annotations

import time

from knossos.client.screens import Screen
from knossos.client.tools.errors import ToolFailed
from knossos.client.tools.mirror_check import Answer, check_links
from knossos.client.tools.mirror_links import links_of, listed_mods
from knossos.client.tools.mirror_report import report_page
from knossos.client.tools.mirror_verdict import judge
from knossos.client.tools.sources import read_repository
from knossos.outgoing import OutgoingHttp
from knossos.packaging.output_file import check_target, write_output
from knossos.settings import Settings


def check_mirrors(
    settings: Settings,
    screen: Screen,
    source: str,
    target: str,
    *,
    jobs: int,
) -> None:
    """Check the repository at ``source`` (a file, "-" or an address) and write the report to ``target``.

    Raises:
        ToolFailed: something is broken; the report is written and says what.
    """
    check_target(target)
    http = OutgoingHttp(settings)
    try:
        mods = listed_mods(read_repository(source, http))
        links = links_of(mods)
        screen.note(f"Links to check: {len(links):,}, of {len(mods):,} versions of mods")
        done = 0

        def on_answer(answer: Answer) -> None:
            nonlocal done
            done += 1
            if answer.problem:
                screen.note(f"{answer.url}: {answer.problem}")
            screen.show("progress", [done / len(links), f"{done:,} of {len(links):,} links"])

        answers = check_links(http, links, jobs=jobs, on_answer=on_answer)
    finally:
        http.close()
    reports = judge(mods, answers)
    write_output(target, report_page(source, reports, made_at=time.time()))
    files = [file for report in reports for file in report.files]
    broken = {link.answer.url for file in files for link in file.links if link.state.is_broken}
    lost = sum(1 for file in files if file.is_lost)
    problems = sum(len(report.mod.problems) for report in reports)
    if any(report.is_broken for report in reports):
        odd = f"; odd entries: {problems:,}" if problems else ""
        raise ToolFailed(
            f"{len(broken):,} of {len(links):,} links are broken, and {lost:,} of {len(files):,} files cannot be had "
            f"at all{odd}: {target}",
            broken=len(broken),
            lost=lost,
        )
    screen.note(f"All {len(links):,} links give what the repository says: {target}")
