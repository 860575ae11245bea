"""The report on a repository's mirrors as one HTML page. Pure: data in, text out.

The page needs nothing beside itself: no script, no font, no picture. What always holds: whatever stands in a repository
or comes from a server is shown as text, and only http and https addresses become links.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from statistics import median

from knossos.client.bars import size as readable
from knossos.client.tools.mirror_links import host_of
from knossos.client.tools.mirror_verdict import FileReport, ModReport, State, Verdict

_WORDS = {State.GOOD: "good", State.SLOW: "slow", State.WRONG: "wrong file", State.DEAD: "dead"}

STYLE = """
:root{color-scheme:light dark;--back:#f6f7f9;--box:#fff;--text:#1c2430;--soft:#5a6675;--line:#d8dde4;--good:#1d7a46;
--slow:#8a5a00;--wrong:#b3261e;--link:#0b5cad}
@media(prefers-color-scheme:dark){:root{--back:#12161c;--box:#1b212a;--text:#e4e8ee;--soft:#9aa6b5;--line:#313a46;
--good:#5cc98b;--slow:#e0b04a;--wrong:#ff8a80;--link:#7ab8ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:1rem 0 .25rem;overflow-wrap:anywhere}
p{margin:.25rem 0}a{color:var(--link)}
.soft{color:var(--soft)}.good{color:var(--good)}.slow{color:var(--slow)}.wrong,.dead{color:var(--wrong)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.5rem;padding:0;margin:1rem 0;
list-style:none}
.figures li,details,.mod{background:var(--box);border:1px solid var(--line);border-radius:.5rem;padding:.5rem .75rem}
.figures b{display:block;font-size:1.4rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .75rem .25rem 0;
border-bottom:1px solid var(--line)}td.number,th.number{text-align:right}td:first-child{overflow-wrap:anywhere}
details,.mod{margin:.5rem 0}summary{cursor:pointer;padding:.25rem 0;overflow-wrap:anywhere}
ul{padding-left:1.1rem;margin:.25rem 0}li{overflow-wrap:anywhere}
.tag{font-weight:600;margin-right:.35rem;white-space:nowrap}
"""


@dataclass
class _Host:
    links: int = 0
    broken: int = 0
    seconds: list[float] = field(default_factory=list)


def report_page(source: str, mods: Sequence[ModReport], *, made_at: float) -> Iterator[str]:
    """The page in pieces.

    Args:
        source: what was checked, as the user named it.
        mods: sorted as they shall be listed.
        made_at: Unix time in seconds.
    """
    title = f"Mirrors of {source}"
    when = datetime.fromtimestamp(made_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="soft">Checked on {when}.</p>\n'
    )
    yield from _summary(mods)
    yield from _broken(mods)
    yield from _hosts(mods)
    yield "<h2>All mods</h2>\n"
    for report in mods:
        yield from _mod(report)
    yield "</main>\n</body>\n</html>\n"


def _summary(mods: Sequence[ModReport]) -> Iterator[str]:
    files = [file for report in mods for file in report.files]
    links = {link.answer.url: link for file in files for link in file.links}
    broken = {link.answer.url for file in files for link in file.links if link.state.is_broken}
    slow = [link for link in links.values() if link.state is State.SLOW]
    lost = sum(1 for file in files if file.is_lost)
    problems = sum(len(report.mod.problems) for report in mods)
    if not broken and not lost and not problems:
        yield '<p class="good">Every link gives what the repository says.</p>\n'
    else:
        at_all = f"; {_count(lost, 'file')} cannot be had at all" if lost else ""
        at_all += f"; {_count(problems, 'entry', 'entries')} cannot be read as meant" if problems else ""
        yield (
            f'<p class="wrong">{_count(len(broken), "link")} of {len(links):,} {"is" if len(broken) == 1 else "are"} '
            f"broken{at_all}.</p>\n"
        )
    figures = [
        (len(mods), "mods and versions", ""),
        (len(files), "files", ""),
        (len(links), "links", ""),
        (len(broken), "broken links", "wrong" if broken else ""),
        (lost, "files without a good link", "wrong" if lost else ""),
        (len(slow), "slow links", "slow" if slow else ""),
        (problems, "odd entries", "wrong" if problems else ""),
    ]
    yield '<ul class="figures">'
    for number, what, kind in figures:
        yield f'<li><b class="{kind}">{number:,}</b>{what}</li>'
    yield "</ul>\n"


def _broken(mods: Sequence[ModReport]) -> Iterator[str]:
    broken = [report for report in mods if report.is_broken]
    if not broken:
        return
    yield "<h2>What is broken</h2>\n"
    for report in broken:
        yield f'<div class="mod"><h3>{_name(report)}</h3>\n<ul>'
        for problem in report.mod.problems:
            yield f'<li><span class="tag wrong">odd</span>{escape(problem)}</li>'
        for file in report.files:
            if not file.is_whole:
                yield f"<li>{_file_name(file)}<ul>"
                yield from (_link(link) for link in file.links if link.state.is_broken)
                yield "</ul></li>"
        yield "</ul></div>\n"


def _hosts(mods: Sequence[ModReport]) -> Iterator[str]:
    hosts: dict[str, _Host] = {}
    worst: dict[str, Verdict] = {}
    for report in mods:
        for file in report.files:
            for link in file.links:
                if link.answer.url not in worst or link.state.is_broken:
                    worst[link.answer.url] = link
    for url, link in worst.items():
        host = hosts.setdefault(host_of(url), _Host())
        host.links += 1
        host.broken += link.state.is_broken
        if link.state is not State.DEAD:
            host.seconds.append(link.answer.seconds)
    yield (
        '<h2>Hosts</h2>\n<div class="wide"><table><thead><tr><th>Host</th><th class="number">Links</th>'
        '<th class="number">Broken</th><th class="number">Answers in</th></tr></thead><tbody>\n'
    )
    for name, host in sorted(hosts.items(), key=lambda item: (-item[1].broken, item[0])):
        answers = f"{median(host.seconds):.2f} s" if host.seconds else "-"
        kind = "wrong" if host.broken else ""
        yield (
            f'<tr><td>{escape(name) or "(none)"}</td><td class="number">{host.links:,}</td>'
            f'<td class="number {kind}">{host.broken:,}</td><td class="number">{answers}</td></tr>\n'
        )
    yield "</tbody></table></div>\n"


def _mod(report: ModReport) -> Iterator[str]:
    lost = sum(1 for file in report.files if file.is_lost)
    broken = sum(1 for file in report.files for link in file.links if link.state.is_broken)
    state = '<span class="good">all good</span>'
    if report.is_broken:
        found = [
            _count(broken, "broken link") if broken else "",
            f"{_count(lost, 'file')} lost" if lost else "",
            _count(len(report.mod.problems), "odd entry", "odd entries") if report.mod.problems else "",
        ]
        state = f'<span class="wrong">{", ".join(text for text in found if text)}</span>'
    yield f"<details><summary>{_name(report)} &ndash; {_count(len(report.files), 'file')}, {state}</summary>\n"
    package = None
    for file in report.files:
        if file.package != package:
            yield f"{'</ul>' if package is not None else ''}<h3>{escape(file.package)}</h3><ul>"
            package = file.package
        yield f"<li>{_file_name(file)}<ul>"
        yield from map(_link, file.links)
        yield "</ul></li>\n"
    yield f"{'</ul>' if package is not None else ''}</details>\n"


def _link(link: Verdict) -> str:
    answer = link.answer
    parts = [f'<span class="tag {link.state}">{_WORDS[link.state]}</span>{_address(answer.url)}']
    if link.text:
        parts.append(escape(link.text))
    if answer.leads_to:
        parts.append(f"leads to {_address(answer.leads_to)}")
    if answer.etag and not link.state.is_broken:
        parts.append(f"ETag {escape(answer.etag)}")
    notes = "".join(f'<br><span class="soft">{part}</span>' for part in parts[1:])
    return f"<li>{parts[0]}{notes}</li>"


def _address(url: str) -> str:
    shown = escape(url) or "(empty)"
    if not url.lower().startswith(("http://", "https://")):
        return shown
    return f'<a href="{escape(url, quote=True)}" rel="noreferrer">{shown}</a>'


def _name(report: ModReport) -> str:
    mod = report.mod
    return f'{escape(mod.title or mod.id)} {escape(mod.version)} <span class="soft">{escape(mod.id)}</span>'


def _file_name(file: FileReport) -> str:
    size = f' <span class="soft">{readable(file.file.size)}</span>' if file.file.size else ""
    lost = ' <span class="wrong">no good link</span>' if file.is_lost else ""
    return f"<b>{escape(file.file.name) or '(no name)'}</b>{size}{lost}"


def _count(number: int, what: str, several: str = "") -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {several or what + 's'}"
