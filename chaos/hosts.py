"""Two hosts: the run's own network, and a second network namespace behind one cable that can be pulled."""

from __future__ import annotations

import shutil

from chaos.namespaces import run
from chaos.needs import PLACES

#: What the second host's namespace is called. It is seen inside the run's mounts only, so that runs do not clash.
FAR = "far"
#: The two ends of the cable.
NEAR_END, FAR_END = "near0", "far0"
NEAR_ADDRESS, FAR_ADDRESS = "10.77.0.1", "10.77.0.2"
NETWORK = "10.77.0.0/24"


def make() -> None:
    """Make the second host, and connect it."""
    run("ip", "netns", "add", FAR)
    run("ip", "link", "add", NEAR_END, "type", "veth", "peer", "name", FAR_END, "netns", FAR)
    run("ip", "addr", "add", f"{NEAR_ADDRESS}/24", "dev", NEAR_END)
    run("ip", "link", "set", NEAR_END, "up")
    run("ip", "-n", FAR, "addr", "add", f"{FAR_ADDRESS}/24", "dev", FAR_END)
    run("ip", "-n", FAR, "link", "set", "lo", "up")
    plug()


def pull() -> None:
    """Pull the cable: packets of both sides vanish, and nobody is told."""
    run("ip", "-n", FAR, "link", "set", FAR_END, "down")


def plug() -> None:
    run("ip", "-n", FAR, "link", "set", FAR_END, "up")


def there(command: list[str]) -> list[str]:
    """The command that runs another one on the second host. ``ip`` becomes it, and keeps its process id."""
    return [str(shutil.which("ip", path=PLACES)), "netns", "exec", FAR, *command]
