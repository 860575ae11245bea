"""The pairs of scripts in conf/batch, against stand-ins that print what the commands of Slurm and of Torque print; and
scripts of an operator's that hang, print nonsense, or want a password."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from knossos.scripting.calculations.commands import BatchAway, BatchFailed, BatchScripts, kept_job
from knossos.scripting.calculations.states import CalculationState, read_report
from knossos.settings import ROOT, Settings
from tests.support.batch import Commands

INVALID = "slurm_load_jobs error: Invalid job id specified\n"
SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
DISABLED = "Slurm accounting storage is disabled\n"
SHOWN = "JobId=17 JobName=calculation\\ x UserId=lab(1000) Priority=4294901759 JobState={} Reason=None ExitCode=0:0\n"
QSTAT = "Job Id: 17.pbs\n    Job_Name = calculation\n    job_state = {}\n    queue = batch\n"
Q, R = CalculationState.QUEUED, CalculationState.RUNNING
FINISHED, FAILED = CalculationState.FINISHED, CalculationState.FAILED
CANCELLED, UNKNOWN = CalculationState.CANCELLED, CalculationState.UNKNOWN


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands(tmp_path / "bin")
    monkeypatch.setenv("PATH", made.path)
    return made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of a calculation, with a name that a careless script would trip over."""
    made = tmp_path / "a 'directory' $(touch oops); * -x"
    made.mkdir()
    (made / "input.xml").write_text("<input/>")
    return made


def scripts(system: str, seconds: float = 30) -> BatchScripts:
    folder = ROOT / "conf" / "batch" / system
    return BatchScripts(folder / "startcalc", folder / "getstatus", folder / "cancelcalc", seconds)


@pytest.mark.parametrize(
    ("squeue", "sacct", "scontrol", "state"),
    [
        (("PENDING\n", "", 0), None, None, Q),
        (("CONFIGURING\n", "", 0), None, None, Q),
        (("RUNNING\n", "", 0), None, None, R),
        (("COMPLETING\n", "", 0), None, None, R),
        (("", "", 0), ("COMPLETED\n", "", 0), None, FINISHED),
        (("", "", 0), ("CANCELLED by 1000\n", "", 0), None, CANCELLED),
        (("", INVALID, 1), ("FAILED\n", "", 0), None, FAILED),
        (("", INVALID, 1), ("TIMEOUT\n", "", 0), None, FAILED),
        (("", INVALID, 1), ("OUT_OF_MEMORY\n", "", 0), None, FAILED),
        (("", "", 0), ("", DISABLED, 1), (SHOWN.format("COMPLETED"), "", 0), FINISHED),
        (("", "", 0), ("", DISABLED, 1), (SHOWN.format("FAILED"), "", 0), FAILED),
        (("", "", 0), ("RUNNING\n", "", 0), (SHOWN.format("COMPLETED"), "", 0), FINISHED),
        (("", SILENT, 1), ("", DISABLED, 1), ("", SILENT, 1), UNKNOWN),
        (("", "", 0), ("", DISABLED, 1), ("", SILENT, 1), UNKNOWN),
        (("", "", 0), ("", DISABLED, 1), ("nonsense\n", "", 0), UNKNOWN),
        (("BEWITCHED\n", "", 0), None, None, UNKNOWN),
        (("", INVALID, 1), ("", DISABLED, 1), ("", INVALID, 1), FAILED),
    ],
)
def test_what_slurm_says_is_told_in_our_words(
    commands: Commands,
    directory: Path,
    squeue: tuple[str, str, int],
    sacct: tuple[str, str, int] | None,
    scontrol: tuple[str, str, int] | None,
    state: CalculationState,
) -> None:
    (directory / "job").write_text("17;main\n")
    answers = (("squeue", squeue), ("sacct", sacct or ("", "", 99)), ("scontrol", scontrol or ("", "", 99)))
    for name, answer in answers:
        commands.prints(name, *answer)
    report = read_report(scripts("slurm").status(directory))
    assert report.state is state, report
    assert report.text
    assert commands.calls[0] == "squeue --noheader --format=%T --jobs=17"


@pytest.mark.parametrize(("left", "state"), [("0\n", FINISHED), ("3\n", FAILED)])
def test_a_job_that_slurm_has_forgotten_has_left_how_it_ended(
    commands: Commands, directory: Path, left: str, state: CalculationState
) -> None:
    (directory / "job").write_text("17\n")
    (directory / "exitcode").write_text(left)
    for name, error in (("squeue", INVALID), ("sacct", DISABLED), ("scontrol", INVALID)):
        commands.prints(name, err=error, code=1)
    assert read_report(scripts("slurm").status(directory)).state is state


@pytest.mark.parametrize(("printed", "job"), [("17\n", "17"), ("17;main\n", "17;main")])
def test_slurm_is_given_the_calculation_once(commands: Commands, directory: Path, printed: str, job: str) -> None:
    commands.prints("sbatch", printed)
    commands.prints("squeue")
    assert scripts("slurm").start(directory) == job
    assert scripts("slurm").start(directory) == job
    assert kept_job(directory) == job
    _, call = commands.calls
    assert call.startswith("sbatch --parsable ")
    assert f"--job-name={directory.name} " in call
    assert call.endswith("/conf/batch/slurm/../calculate")
    assert not (directory / "oops").exists()


@pytest.mark.parametrize(("system", "program"), [("slurm", "sbatch"), ("torque", "qsub")])
@pytest.mark.parametrize(("out", "err", "code"), [("", "Unable to contact the controller", 1), ("what?\n", "", 0)])
def test_what_the_batch_system_does_not_take_is_told(
    commands: Commands, directory: Path, system: str, program: str, out: str, err: str, code: int
) -> None:
    commands.prints(program, out, err, code)
    for name in ("squeue", "qselect"):
        commands.prints(name)
    with pytest.raises(BatchFailed, match=r"Unable to contact|what[?]"):
        scripts(system).start(directory)
    assert not (directory / "job").exists()


AWAY = {
    "squeue": SILENT,
    "sbatch": "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
    "qselect": "qselect: cannot connect to server pbs (errno=111) Connection refused\n",
    "qsub": "qsub: cannot connect to server pbs (errno=111) Connection refused\n",
}


@pytest.mark.parametrize(
    ("system", "asked", "submit", "away"),
    [
        ("slurm", "squeue", "sbatch", "squeue"),
        ("slurm", "squeue", "sbatch", "sbatch"),
        ("torque", "qselect", "qsub", "qselect"),
        ("torque", "qselect", "qsub", "qsub"),
    ],
)
def test_a_batch_system_that_does_not_answer_may_be_given_it_later(
    commands: Commands, directory: Path, system: str, asked: str, submit: str, away: str
) -> None:
    commands.prints(asked)
    commands.prints(submit, "17\n")
    commands.prints(away, err=AWAY[away], code=1)
    with pytest.raises(BatchAway, match=r"onnect|timed out"):
        scripts(system).start(directory)
    # Whoever cannot see whether it is there already submits nothing.
    assert [call.split()[0] for call in commands.calls] == [asked] if away == asked else [asked, submit]
    assert not kept_job(directory)
    commands.prints(asked, "17\n")
    assert scripts(system).start(directory) == "17"


def test_a_job_of_torque_is_called_what_torque_takes(commands: Commands, tmp_path: Path) -> None:
    """Names of its jobs begin with a letter and have at most 15 characters; ids of runs begin with any digit."""
    directory = tmp_path / "0c7f9f62-1111-4a4a-8888-0123456789ab"
    directory.mkdir()
    commands.prints("qselect")
    commands.prints("qsub", "17.pbs\n")
    commands.prints("qdel")
    scripts("torque").start(directory)
    names = {call.split("-N ")[1].split()[0] for call in commands.calls}
    assert names == {"c0c7f9f62-1111-"}
    (directory / "job").unlink()
    commands.prints("qselect", "17.pbs\n")
    scripts("torque").cancel(directory)
    assert commands.calls[-2:] == ["qselect -N c0c7f9f62-1111-", "qdel 17.pbs"]
    commands.prints("qselect", err=AWAY["qselect"], code=1)
    with pytest.raises(BatchFailed, match="cannot connect"):
        scripts("torque").cancel(directory)


@pytest.mark.parametrize(("system", "asked", "id"), [("slurm", "squeue", "17"), ("torque", "qselect", "17.pbs")])
def test_a_call_that_was_ended_before_it_said_the_id_is_made_good(
    commands: Commands, directory: Path, system: str, asked: str, id: str
) -> None:
    commands.prints(asked, f"{id}\n")
    assert scripts(system).start(directory) == id
    (call,) = commands.calls
    assert directory.name[:14] in call


@pytest.mark.parametrize(
    ("qstat", "history", "state"),
    [
        ((QSTAT.format("Q"), "", 0), None, Q),
        ((QSTAT.format("H"), "", 0), None, Q),
        ((QSTAT.format("R"), "", 0), None, R),
        ((QSTAT.format("E"), "", 0), None, R),
        ((QSTAT.format("C") + "    exit_status = 0\n", "", 0), None, FINISHED),
        ((QSTAT.format("C") + "    exit_status = 1\n", "", 0), None, FAILED),
        ((QSTAT.format("C") + "    exit_status = -11\n", "", 0), None, FAILED),
        ((QSTAT.format("C") + "    exit_status = 271\n", "", 0), None, CANCELLED),
        (
            ("", "qstat: 17.pbs Job has finished, use -x or -H to obtain historical job information\n", 35),
            (QSTAT.format("F") + "    Exit_status = 0\n", "", 0),
            FINISHED,
        ),
        (("", "qstat: Unknown Job Id 17.pbs\n", 153), None, FAILED),
        (("", "qstat: cannot connect to server pbs (errno=111) Connection refused\n", 111), None, UNKNOWN),
        (("Job Id: 17.pbs\n", "", 0), None, UNKNOWN),
    ],
)
def test_what_torque_and_pbs_say_is_told_in_our_words(
    commands: Commands,
    directory: Path,
    qstat: tuple[str, str, int],
    history: tuple[str, str, int] | None,
    state: CalculationState,
) -> None:
    (directory / "job").write_text("17.pbs\n")
    commands.prints("qstat", *qstat, first="-f")
    if history:
        commands.prints("qstat", *history, first="-x")
    report = read_report(scripts("torque").status(directory))
    assert report.state is state, report
    assert report.text


def test_torque_is_given_the_calculation_and_may_be_told_to_end_it(commands: Commands, directory: Path) -> None:
    commands.prints("qselect")
    commands.prints("qsub", "17.pbs.example.org\n")
    commands.prints("qdel", "", "qdel: Unknown Job Id 17.pbs.example.org\n", 153)
    assert scripts("torque").start(directory) == "17.pbs.example.org"
    scripts("torque").cancel(directory)
    assert commands.calls[-1] == "qdel 17.pbs.example.org"
    commands.prints("qdel", "", "qdel: cannot connect to server pbs\n", 111)
    with pytest.raises(BatchFailed, match="cannot connect"):
        scripts("torque").cancel(directory)


def test_slurm_is_told_to_end_what_it_may_have_ended(commands: Commands, directory: Path) -> None:
    commands.prints("scancel")
    scripts("slurm").cancel(directory)
    assert commands.calls == []  # nothing was submitted
    (directory / ".startcalc").touch()
    scripts("slurm").cancel(directory)
    assert commands.calls.pop() == f"scancel --name={directory.name}"
    (commands.folder / "calls.log").unlink()
    (directory / "job").write_text("17\n")
    scripts("slurm").cancel(directory)
    commands.prints("scancel", err="scancel: error: Kill job error on job id 17: Invalid job id specified\n", code=1)
    scripts("slurm").cancel(directory)
    assert commands.calls == ["scancel 17"] * 2
    commands.prints("scancel", err="scancel: error: Unable to contact slurm controller (connect failure)\n", code=1)
    with pytest.raises(BatchFailed, match="Unable to contact"):
        scripts("slurm").cancel(directory)


def test_the_program_writes_its_streams_and_how_it_ended(directory: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\ncat input.xml; echo bad >&2; exit 5\n")
    program.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PBS_O_WORKDIR": str(directory), "CALCULATION_PROGRAM": str(program)}
    done = subprocess.run(["sh", ROOT / "conf" / "batch" / "calculate"], env=environment, check=False, timeout=60)
    assert done.returncode == 5
    found = {name: (directory / name).read_text() for name in ("stdout", "stderr", "exitcode")}
    assert found == {"stdout": "<input/>", "stderr": "bad\n", "exitcode": "5\n"}


# --- scripts of the operator's ------------------------------------------------------------------------


def operators(commands: Commands, startcalc: str, getstatus: str = "true", seconds: float = 30) -> BatchScripts:
    program = commands.program
    return BatchScripts(
        program("startcalc", f"#!/bin/sh\n{startcalc}\n"),
        program("getstatus", f"#!/bin/sh\n{getstatus}\n"),
        None,
        seconds,
    )


@pytest.mark.parametrize(
    ("startcalc", "says"),
    [
        ("exec sleep 600", "did not end within 0.5 seconds.*password"),
        ("echo Password: >&2; sleep 600 & wait", "did not end within 0.5 seconds.*Password:"),
        ("exec yes", "did not end within 0.5 seconds"),
        ("exec 1>&- 2>&-; exec sleep 600", "did not end within 0.5 seconds"),
    ],
)
def test_a_script_that_hangs_is_ended(commands: Commands, directory: Path, startcalc: str, says: str) -> None:
    with pytest.raises(BatchFailed, match=says):
        operators(commands, startcalc, seconds=0.5).start(directory)


@pytest.mark.parametrize(
    ("startcalc", "says"),
    [
        ("read -r password </dev/tty && echo 17", "exit code [12]"),
        ("read -r password && echo 17", "exit code 1"),
        ("echo so sorry", "did not say the job's id.*so sorry"),
        ("head -c 1000000 /dev/urandom", "did not say the job's id"),
        ("true", "did not say the job's id"),
        ("echo 17; exit 4", "exit code 4: 17"),
        ("kill -SEGV $$", "exit code -11"),
        ("ln -s /etc/hostname job; true", "did not say the job's id"),
    ],
)
def test_a_script_that_does_not_do_what_it_is_for_is_told_of(
    commands: Commands, directory: Path, startcalc: str, says: str
) -> None:
    with pytest.raises(BatchFailed, match=says):
        operators(commands, startcalc).start(directory)
    assert not kept_job(directory)


def test_a_script_that_is_not_there_is_told_of(commands: Commands, directory: Path) -> None:
    nowhere = BatchScripts(directory / "a", directory / "b", None, 30)
    with pytest.raises(BatchFailed, match="cannot be run: No such file"):
        nowhere.start(directory)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/sh\r\necho 17\r\n", "lines end as in files of Windows"),
        ("echo 17\n", "expected a first line such as #!/bin/sh"),
        ("#!/no/such/shell\necho 17\n", "interpreter of its first line is not there: #!/no/such/shell"),
    ],
)
def test_a_script_that_the_system_cannot_run_is_told_of_in_words_that_help(
    commands: Commands, directory: Path, text: str, says: str
) -> None:
    made = BatchScripts(commands.program("startcalc", text), directory, None, 30)
    with pytest.raises(BatchFailed, match=says):
        made.start(directory)


def test_a_script_may_keep_the_id_itself_and_leave_something_running(commands: Commands, directory: Path) -> None:
    """The original's do: ``qsub script > job``."""
    made = operators(commands, 'cd "$1"; echo 17.host > job; sleep 600 & echo $! > pid; echo "it is on its way"')
    try:
        assert made.start(directory) == "17.host"
    finally:
        subprocess.run(["kill", (directory / "pid").read_text().strip()], check=True)


def test_no_secret_of_the_server_is_in_the_environment_of_a_script(
    commands: Commands, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KNOSSOS_ADMIN_PASSWORD", "hush-hush")
    monkeypatch.setenv("REDIS", "redis://:hush-hush@127.0.0.1/0")
    assert "hush-hush" not in operators(commands, "true", "env").status(directory)


def test_without_the_settings_there_is_no_batch_system() -> None:
    assert BatchScripts.of(Settings()) is None
