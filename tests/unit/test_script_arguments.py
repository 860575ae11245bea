"""From the fields of a form to the command line of a script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.scripting.arguments import BadArgument, CallFields, ScriptCall, base_name, fields_of
from knossos.settings import Settings


def call(*fields: tuple[str, str | bytes], files: tuple[tuple[str, str], ...] = ()) -> ScriptCall:
    """The call that these fields, and then these files, make."""
    form = CallFields(max_arguments=1000, max_bytes=128 * 1024)
    for name, value in (("call", "my_script.py"), *fields):
        form.add(name, value if isinstance(value, bytes) else value.encode())
    for name, filename in files:
        form.add_file(name, filename)
    return form.call()


def refused(*fields: tuple[str, str | bytes], files: tuple[tuple[str, str], ...] = ()) -> str:
    """The name of the field that is refused."""
    with pytest.raises(BadArgument) as caught:
        call(*fields, files=files)
    assert caught.value.errors[0]["path"] == caught.value.field
    assert caught.value.message.startswith(f"{caught.value.field}: ")
    return str(caught.value.field)


def test_a_call_is_named_arguments_and_then_the_positional_ones_by_number() -> None:
    made = call(("-p10", "ten"), ("-p2", "two"), ("-Ooption1", "val1"), ("-p0", "zero"), files=(("-Ofile", "a.txt"),))
    assert made.arguments == ("--option1=val1", "--file=.upload_files/a.txt", "zero", "two", "ten")
    assert made.files == ("a.txt",)
    assert made.line == "my_script.py --option1=val1 --file=.upload_files/a.txt zero two ten"


def test_a_file_may_be_a_positional_argument_or_none() -> None:
    made = call(files=(("-p0", "form.json"), ("more", "b.txt")))
    assert made.arguments == (".upload_files/form.json",)
    assert made.files == ("form.json", "b.txt")


def test_a_script_without_arguments_is_its_name() -> None:
    assert call().line == "my_script.py"
    assert call(("submit", "Send")).arguments == ()


def test_arguments_that_look_like_options_are_data() -> None:
    values = ["--help", "-rf", "--auth-token=x", "; rm -rf /", "$(id)", "a\nb", "", "ünï"]
    made = call(*((f"-p{number}", value) for number, value in enumerate(values)), ("-Ox", "--y=1"))
    assert made.arguments == ("--x=--y=1", *values)


@pytest.mark.parametrize(
    "name",
    [
        *("-p", "-p-1", "-p01", "-px", "-p1234567890", "-p\N{SUPERSCRIPT TWO}", "-O", "-O-x", "-Oa b", "-Oa=b"),
        *("-O../x", "-Oa\nb", "-O" + "x" * 101, "-x", "--option", "-", "-Oauth-token"),
    ],
)
def test_a_field_that_begins_like_an_argument_and_is_none_is_refused(name: str) -> None:
    assert refused((name, "x")) == name.replace("\n", "\N{REPLACEMENT CHARACTER}")[:100]


def test_what_comes_twice_is_refused() -> None:
    assert refused(("-p0", "a"), ("-p0", "b")) == "-p0"
    assert refused(("-Ox", "a"), ("-Ox", "b")) == "-Ox"
    assert refused(("-p0", "a"), files=(("-p0", "a.txt"),)) == "-p0"
    assert refused(("call", "other.py")) == "call"


def test_two_files_of_one_base_name_are_refused_and_both_fields_are_named() -> None:
    with pytest.raises(BadArgument, match=r"-p1: a file that is called 'x.txt' came with the field '-p0' already"):
        call(files=(("-p0", "a/x.txt"), ("-p1", "../x.txt")))


def test_a_call_without_a_script_is_refused() -> None:
    for form in (CallFields(9, 99), CallFields(9, 99, script="")):
        with pytest.raises(BadArgument, match="call: expected the name of a script"):
            form.call()


def test_bytes_that_no_argument_can_have_are_refused() -> None:
    assert refused(("-p0", b"a\0b")) == "-p0"
    assert refused(("-Ox", b"\xff")) == "-Ox"
    form = CallFields(9, 99)
    with pytest.raises(BadArgument, match="call: expected a text without NUL bytes"):
        form.add("call", b"x\0.py")


def test_ten_thousand_arguments_are_refused_at_the_first_one_too_many() -> None:
    assert refused(*((f"-p{number}", "x") for number in range(10_000))) == "-p1000"
    assert refused(*((f"-p{number}", "x") for number in range(1000)), files=(("other", "a"),)) == "other"


def test_too_many_bytes_are_refused_whatever_field_they_are_in() -> None:
    assert refused(("-p0", "x" * 100_000), ("-p1", "x" * 40_000)) == "-p1"
    assert refused(("comment", "x" * 200_000)) == "comment"


def test_an_argument_that_no_program_can_be_given_is_refused() -> None:
    form = CallFields(9, 2**20)
    form.add("-Ox", b"x" * (128 * 1024 - 5))
    with pytest.raises(BadArgument, match="-Oy: expected at most 131071 bytes"):
        form.add("-Oy", b"x" * (128 * 1024 - 4))


def test_the_limits_are_those_of_the_settings() -> None:
    form = fields_of(Settings(script_arguments=1, script_argument_bytes=1024))
    form.add("-p0", b"x")
    assert form.room() == 1023
    with pytest.raises(BadArgument, match="SCRIPT_ARGUMENTS, 1,"):
        form.add("-p1", b"x")


@pytest.mark.parametrize(
    ("filename", "kept"),
    [
        ("a.txt", "a.txt"),
        ("../x", "x"),
        ("a/b", "b"),
        ("/etc/passwd", "passwd"),
        ("C:\\dir\\x.csv", "x.csv"),
        ("-rf", "-rf"),
        ("a b.txt", "a b.txt"),
        ("m\N{LATIN SMALL LETTER U WITH DIAERESIS}.txt", "m\N{LATIN SMALL LETTER U WITH DIAERESIS}.txt"),
        # As the client writes what is not ASCII; what is, it writes as it is.
        ("m&#252;.txt", "m\N{LATIN SMALL LETTER U WITH DIAERESIS}.txt"),
        ("a&#47;b", "a&#47;b"),
        ("a&#55296;", "a&#55296;"),
    ],
)
def test_a_file_has_its_base_name(filename: str, kept: str) -> None:
    assert base_name("-p0", filename) == kept


@pytest.mark.parametrize(
    "filename",
    [
        *("", "..", ".", "a/", "../", "a/..", ".hidden", "a/.bashrc", "a\0b", "a\nb", "a\x7f", "x" * 256, "\ud800"),
        *("a&#8238;gpj.exe", "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 128),
    ],
)
def test_a_name_that_no_file_should_have_is_refused(filename: str) -> None:
    assert refused(files=(("-p0", filename),)) == "-p0"


@given(st.text())
def test_whatever_a_file_is_called_it_stays_in_its_folder(filename: str) -> None:
    try:
        base = base_name("f", filename)
    except BadArgument:
        return
    assert base not in ("", ".", "..")
    assert not set("/\\\0\n") & set(base)
    assert len(base.encode()) <= 255


@given(st.dictionaries(st.integers(0, 10**9 - 1), st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
def test_positional_arguments_come_by_number_and_as_they_are(values: dict[int, str]) -> None:
    made = call(*((f"-p{number}", value) for number, value in values.items()))
    assert made.arguments == tuple(values[number] for number in sorted(values))


@given(st.text(), st.binary(max_size=50))
def test_any_field_is_taken_passed_over_or_refused_by_name(name: str, value: bytes) -> None:
    form = CallFields(10, 100, script="x")
    try:
        form.add(name, value)
    except BadArgument as error:
        refusal = error.message
    else:
        refusal = ""
        assert len(form.call().arguments) == (1 if name.startswith("-") else 0)
    assert refusal.isprintable()
