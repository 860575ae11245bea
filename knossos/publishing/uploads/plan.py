"""How a file is divided into parts. Pure: numbers in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass

from knossos.errors import InvalidInput

#: Bytes of each part but the last, as all clients of the protocol know it.
PART_BYTES = 10_485_760


@dataclass(frozen=True)
class Plan:
    """The parts of a file, numbered from 0. A file has at least one byte, so no part is empty."""

    size: int
    part_bytes: int = PART_BYTES

    @property
    def parts(self) -> int:
        return -(-self.size // self.part_bytes)

    def start(self, number: int) -> int:
        """Where a part begins in the file."""
        return number * self.part_bytes

    def length(self, number: int) -> int:
        """How many bytes a part has. Raises InvalidInput where the file has no such part."""
        if not 0 <= number < self.parts:
            raise invalid("part", f"expected a number from 0 to {self.parts - 1}")
        return min(self.part_bytes, self.size - self.start(number))

    def check_length(self, number: int, received: int, *, whole: bool) -> None:
        """Hold what has come of a part against its length.

        Args:
            whole: whether this is all that comes.

        Raises:
            InvalidInput: it is too long, or ``whole`` and too short.
        """
        length = self.length(number)
        if received > length or (whole and received < length):
            raise invalid("file", f"expected {length} bytes of part {number}")


def invalid(path: str, message: str) -> InvalidInput:
    return InvalidInput(f"{path}: {message}", errors=[{"path": path, "message": message}])
