"""docs/operating.md's section on installing, on a machine with a real systemd: ``make test-machine``."""

from __future__ import annotations

import json
import re

import pytest

from tests.machine.conftest import commands
from tests.support.debian import Machine
from tests.support.processes import wait_for

UNITS = "knossos-server knossos-ws knossos-worker@1 knossos-worker@2 knossos-cron.timer"
#: Says who it is, what it sees of the machine, and leaves a file.
SCRIPT = """
import os, pathlib
print(os.getuid() != 0, sorted(os.listdir("/home") if os.path.exists("/home") else []), os.path.exists("/etc/knossos"))
pathlib.Path("left.txt").write_text("from the script")
"""
AS_KNOSSOS = next(line for line in commands().splitlines() if line.startswith("as_knossos()"))

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]


def ask(machine: Machine, path: str, options: str = "") -> str:
    """What nginx answers with status 2xx."""
    return machine.run(f"curl -sS --fail-with-body -H 'Host: knossos.test' {options} http://127.0.0.1{path}").stdout


def is_ready(machine: Machine) -> bool:
    said = machine.run(f"{AS_KNOSSOS}\nas_knossos py-env/bin/python worker.py --check", check=False).stdout
    return bool(json.loads(said)["ready"])


@pytest.fixture(scope="session")
def token(installed: Machine) -> str:
    scopes = "--scope scripts --scope home --scope run"
    command = f"as_knossos py-env/bin/flask --app server token add admin rehearsal {scopes}"
    said = installed.run(f"{AS_KNOSSOS}\n{command}").stdout
    return said.strip().splitlines()[-1]


@pytest.fixture(autouse=True)
def ready(installed: Machine) -> None:
    """What a test has stopped is back."""
    asking = "curl -s --fail -H 'Host: knossos.test' http://127.0.0.1/ready"
    wait_for(lambda: installed.run(asking, check=False).returncode == 0, "the server is ready", 60)


def submit(machine: Machine, token: str, script: str) -> int:
    machine.run(f"cat >/tmp/script.py <<'SCRIPT'\n{script}\nSCRIPT")
    said = ask(machine, "/api/run", f"-H 'Authorization: Bearer {token}' --data-binary @/tmp/script.py")
    return int(json.loads(said)["job_id"])


def job(machine: Machine, token: str, number: int) -> dict[str, object]:
    found: dict[str, object] = json.loads(ask(machine, f"/api/jobs/{number}", f"-H 'Authorization: Bearer {token}'"))
    return found


def test_the_commands_of_the_page_make_a_server_that_is_ready(installed: Machine) -> None:
    assert installed.run(f"systemctl is-active {UNITS}").stdout.split() == ["active"] * 5
    assert json.loads(ask(installed, "/ready"))["ready"] is True
    assert is_ready(installed)
    assert "Knossos" in ask(installed, "/")


def test_systemd_finds_nothing_to_say_of_the_units(installed: Machine) -> None:
    said = installed.run("systemd-analyze verify /etc/systemd/system/knossos-*")
    assert (said.stdout, said.stderr) == ("", "")
    assert installed.run("systemctl --failed --no-legend").stdout == ""


def test_nginx_gives_the_pages_what_they_need(installed: Machine) -> None:
    for path in re.findall(r'(?:href|src)="(/(?:static|third_party)/[^"]+)"', ask(installed, "/")):
        assert ask(installed, path)


def test_a_script_runs_in_its_sandbox_within_what_the_unit_allows(installed: Machine, token: str) -> None:
    number = submit(installed, token, SCRIPT)
    wait_for(lambda: job(installed, token, number)["status"] in ("done", "failed"), "the script ends", 60)
    ended = job(installed, token, number)
    assert (ended["status"], ended["out"], ended["err"]) == ("done", "True [] False\n", "")
    assert ask(installed, "/api/files/left.txt", f"-H 'Authorization: Bearer {token}'") == "from the script"


def test_a_script_calls_the_server_back(installed: Machine, token: str) -> None:
    assert "for admin" in ask(installed, "/scripting", f"-H 'Authorization: Bearer {token}' -d call=back.py")


def test_the_daily_purge_runs_as_a_unit_and_is_to_come(installed: Machine) -> None:
    installed.run("systemctl start knossos-cron.service")
    assert "Result=success" in installed.run("systemctl show -p Result knossos-cron.service").stdout
    assert "knossos-cron.service" in installed.run("systemctl list-timers --no-legend").stdout


def test_an_upgrade_refuses_no_request(installed: Machine) -> None:
    asking = (
        "for number in $(seq 60); do curl -s -o /dev/null -w '%{http_code}\\n' -H 'Host: knossos.test' "
        "http://127.0.0.1/ready; sleep 0.1; done"
    )
    said = installed.run(
        f"( {asking} ) >/tmp/answers & systemctl reload knossos-server; systemctl restart knossos-ws; "
        "systemctl restart knossos-worker@1; systemctl restart knossos-worker@2; wait; sort /tmp/answers | uniq -c"
    )
    assert said.stdout.split() == ["60", "200"]
    wait_for(lambda: is_ready(installed), "the workers are back", 60)


def test_a_restart_lets_requests_finish(installed: Machine, token: str) -> None:
    upload = (
        "curl -s -o /dev/null -w '%{http_code}' --limit-rate 1M -T /tmp/big -H 'Host: knossos.test' "
        f"-H 'Authorization: Bearer {token}' http://127.0.0.1/api/files/big"
    )
    said = installed.run(
        f"head -c 6000000 /dev/urandom >/tmp/big; ( {upload} ) >/tmp/answer & sleep 2; "
        "systemctl restart knossos-server; wait; cat /tmp/answer"
    )
    assert said.stdout in ("200", "201", "204")
    assert installed.run("find /var/lib/knossos -name big -size 6000000c").stdout.count("\n") == 1


def test_whatever_is_killed_comes_back_and_a_script_gets_its_one_outcome(installed: Machine, token: str) -> None:
    number = submit(installed, token, "import time; print('begun', flush=True); time.sleep(600)")
    wait_for(lambda: job(installed, token, number)["out"] == "begun\n", "the script has begun", 60)
    for unit in UNITS.split()[:-1]:
        installed.run(f"systemctl kill -s KILL {unit}")
    for address in ("-H 'Host: knossos.test' http://127.0.0.1/ready", "http://127.0.0.1:8085/ready"):
        answers = f"curl -s --fail {address}"
        wait_for(lambda: installed.run(answers, check=False).returncode == 0, f"{address} is back", 60)  # noqa: B023
    wait_for(lambda: job(installed, token, number)["status"] == "failed", "the script is told as lost", 120)
    assert installed.run(f"systemctl is-active {UNITS}").stdout.split() == ["active"] * 5
    assert installed.run("pgrep -c bwrap", check=False).stdout.strip() == "0"


def test_one_id_finds_a_request_in_the_journal_of_all_units(installed: Machine, token: str) -> None:
    answer = ask(installed, "/api/run", f"-i -H 'Authorization: Bearer {token}' --data-binary 'print(1)'")
    found = re.search(r"X-Request-ID: (\w+)", answer)
    assert found
    search = f"journalctl -u 'knossos-*' --no-pager | grep request={found[1]}"
    wait_for(lambda: "worker:" in installed.run(search).stdout, "the worker has said so too", 60)
    assert " web: POST /api/run" in installed.run(search).stdout


def test_nobody_but_root_can_change_the_code_and_nothing_of_roots_is_in_the_data(installed: Machine) -> None:
    assert installed.run("find /opt/knossos -user knossos").stdout == ""
    assert installed.run("find /var/lib/knossos -user root").stdout == ""
    assert installed.run("ls -ld /var/lib/knossos").stdout.startswith("drwxr-x---")


def test_a_backup_is_one_command(installed: Machine) -> None:
    back_up = "as_knossos py-env/bin/flask --app server backup /var/lib/knossos/backup"
    installed.run(f"{AS_KNOSSOS}\n{back_up} && test -s /var/lib/knossos/backup")


def test_the_machine_starts_again_with_everything(installed: Machine) -> None:
    installed.run(f"systemctl stop {UNITS} && systemctl start multi-user.target")
    wait_for(lambda: is_ready(installed), "all is ready", 60)
    assert json.loads(ask(installed, "/ready"))["ready"] is True


def test_nothing_had_to_be_killed_to_stop(installed: Machine) -> None:
    stops = "systemctl stop knossos-server; systemctl start knossos-server; sleep 1; " * 3
    installed.run(stops, seconds=400)
    assert "timed out" not in installed.run("journalctl --no-pager -u 'knossos-*'").stdout
