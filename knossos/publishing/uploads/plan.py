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
            raise InvalidInput.at("part", f"expected a number from 0 to {self.parts - 1}")
        return min(self.part_bytes, self.size - self.start(number))


class Arriving:
    """Counts the bytes of a part as they come. Raises InvalidInput where the file has no such part."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._number = number
        self.start = plan.start(number)
        self.length = plan.length(number)
        self._received = 0

    def place_of(self, count: int) -> int:
        """Where in the file the next bytes belong. Raises InvalidInput where the part would be too long."""
        place = self.start + self._received
        self._received += count
        if self._received > self.length:
            raise self._wrong_length()
        return place

    def check_whole(self) -> None:
        """This is all that comes. Raises InvalidInput where the part is too short."""
        if self._received < self.length:
            raise self._wrong_length()

    def _wrong_length(self) -> InvalidInput:
        return InvalidInput.at("file", f"expected {self.length} bytes of part {self._number}")
