"""The two verbs of the sandbox: start a script, and see beforehand whether that works here."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from knossos.errors import SettingsError
from knossos.scripting.first_line import what_is_wrong
from knossos.scripting.metadata import RunLimits
from knossos.scripting.sandbox import bubblewrap, plain
from knossos.scripting.sandbox.errors import SandboxFailed, SandboxMissing
from knossos.scripting.sandbox.limits import ResolvedLimits
from knossos.scripting.sandbox.running import Sandboxed
from knossos.scripting.sandbox.spec import SandboxSpec
from knossos.scripting.sandbox.view import binds, is_shown
from knossos.settings import ROOT, Settings

#: Seconds that a program which does nothing may take.
CHECK_SECONDS = 30

HOST = (
    "this user may make no namespaces here. Ubuntu 24.04: install bubblewrap's AppArmor profile, or set "
    "kernel.apparmor_restrict_unprivileged_userns=0; Debian: kernel.unprivileged_userns_clone=1; systemd: no "
    "RestrictNamespaces, ProtectKernelTunables, ProtectKernelLogs and ProtectHostname for workers; a container: see "
    "docs/sandbox.md. SCRIPT_SANDBOX = 'none' runs scripts with all that this server's user may do"
)

_log = logging.getLogger(__name__)


def start(settings: Settings, spec: SandboxSpec, meanwhile: Callable[[], None] = lambda: None) -> Sandboxed:
    """Start a script. To be called by a thread that lives as long as the script shall.

    The caller reads its three descriptors, looks at the clock, ``memory_bytes`` and ``disk_bytes``, and closes it.

    Args:
        meanwhile: is done while the sandbox is being made, and is over before the script begins. What it raises comes
            out; the script has not begun then, and nothing is left of it.

    Raises:
        SandboxMissing: bubblewrap is not there.
        SandboxFailed: the script cannot be started; nothing is left of it.
    """
    if not os.access(spec.program, os.X_OK):
        raise SandboxFailed(f"{spec.program.name} is not a program that can be run", path=str(spec.program))

    def check_and_go_on() -> None:
        _check_first_line(settings, spec)
        meanwhile()

    if settings.script_sandbox == "none":
        check_and_go_on()
        return plain.start(settings, spec)
    return bubblewrap.start(settings, spec, check_and_go_on)


def rehearse(settings: Settings, spec: SandboxSpec) -> None:
    """Go through what `start` decides, and start nothing; the folders of the run need not be there."""
    _check_first_line(settings, spec)
    if settings.script_sandbox != "none":
        bubblewrap.rehearse(settings, spec)


def _check_first_line(settings: Settings, spec: SandboxSpec) -> None:
    if wrong := what_is_wrong(spec.program, _finds(settings, spec)):
        raise SandboxFailed(f"{spec.program.name} cannot be run: {wrong}", path=str(spec.program))


def _finds(settings: Settings, spec: SandboxSpec) -> Callable[[str], bool]:
    """Whether a script will find a path of this machine."""
    if settings.script_sandbox == "none":
        return lambda path: True
    bound = binds(spec)
    return lambda path: is_shown(path, bound)


def check(settings: Settings) -> None:
    """See whether scripts can be shut in here, by doing it. For the start of a worker, which then remembers.

    Raises:
        SandboxMissing: bubblewrap is not there, or the machine does not let it work.
        SettingsError: scripts would be given the server's own data to read.
    """
    if settings.script_sandbox == "none":
        _log.warning("SCRIPT_SANDBOX is 'none': scripts run with all that this server's user may do")
        return
    _check_read_paths(settings)
    bubblewrap.locate(settings)
    true = shutil.which("true", path="/usr/bin:/bin")
    if true is None:
        raise SandboxMissing("The program true is not in /usr/bin", needed="true")
    with tempfile.TemporaryDirectory() as name:
        folder, shared, temporary = (Path(name, one) for one in ("folder", "shared", "temporary"))
        for made in (folder, shared, temporary):
            made.mkdir()
        spec = SandboxSpec(
            program=Path(true),
            arguments=(),
            folder=folder,
            shared=shared,
            temporary=temporary,
            readable=(),
            environment={},
            limits=ResolvedLimits.of(settings, RunLimits()),
            network=False,
            door=("127.0.0.1", 9),
        )
        try:
            running = start(settings, spec)
        except SandboxFailed as error:
            raise SandboxMissing(f"{error.message}; {HOST}", needed="user namespaces") from error
        try:
            code = running.wait(CHECK_SECONDS)
        finally:
            running.close()
        if code != 0:
            raise SandboxMissing(
                f"A program that does nothing ended with {code} in the sandbox; {HOST}", needed="bwrap"
            )


def _check_read_paths(settings: Settings) -> None:
    """The settings' folders of scripts, and what these may read, must not hold the server's data."""
    secrets = {
        "DATA_PATH with the server's keys": settings.data_path.resolve(),
        "HOMES_PATH with everybody's homes": settings.homes_folder.resolve(),
    }
    for setting in ("script_read_paths", "server_side_scripting_bin_dirs"):
        for path in getattr(settings, setting):
            for what, secret in secrets.items():
                if secret.is_relative_to((ROOT / path).resolve()):
                    raise SettingsError(
                        f"{setting.upper()}: {path} holds {what}; expected folders beside it",
                        setting=setting.upper(),
                    )
