"""How the commands of a page are found, and how what was seen is compared with what the page shows."""

from __future__ import annotations

import pytest

from tests.support.tutorial import Step, fits, fits_so_far, steps

PAGE = """# Page

```sh title="First terminal"
./launch.sh
```

```text
ready
```

```python
no = "command"
```

* In a list:

  ```sh
  echo "$X"
  ```
"""


def test_commands_are_found_with_their_terminal_and_what_is_shown() -> None:
    assert steps(PAGE) == [
        Step(3, "./launch.sh\n", True, "ready\n"),
        Step(17, 'echo "$X"\n', False, None),
    ]


@pytest.mark.parametrize("page", ["```text\nx\n```\n", '```sh title="Third"\ntrue\n```\n', PAGE + "```text\n```\n" * 2])
def test_a_page_that_cannot_be_followed_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="line"):
        steps(page)


@pytest.mark.parametrize(
    ("expected", "seen", "fit"),
    [
        ("one\n", "\r\none\r\n", True),
        ("one\n", "one\ntwo\n", False),
        ("one\ntwo\n", "one\n", False),
        ("one\n...\n", "one\n", True),
        ("one\n...\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one\n...\nfour\n", "one\ntwo\nthree\n", False),
        ("id ... of (1)\n", "id 17 of (1)\n", True),
        ("id ... of (1)\n", "id 17\nof (1)\n", False),
        ("a.c\n", "abc\n", False),
        ("red\n", "\x1b[31mred\x1b[0m\n", True),
    ],
)
def test_what_is_seen_is_compared_line_by_line(expected: str, seen: str, fit: bool) -> None:
    assert fits(expected, seen) is fit


@pytest.mark.parametrize(
    ("expected", "seen", "fit"),
    [
        ("one\nthree\n", "zero\none\ntwo\nthree\nfour\n", True),
        ("three\none\n", "one\ntwo\nthree\n", False),
        ("one\n", "", False),
        ("worker ... waits\n", "worker 1 waits\n", True),
    ],
)
def test_lines_of_a_server_are_found_among_others(expected: str, seen: str, fit: bool) -> None:
    assert fits_so_far(expected, seen) is fit
