"""Environment expressions: for which operating systems and processors a package is meant.

``windows && X86_64 && (sse || sse2)``: words joined by ``&&``, ``||`` and ``!``, with parentheses; ``&&`` binds
tighter than ``||``; case does not matter. Old descriptions hold a list of checks that must all be met; they become
an expression. Owns the words, the grammar and the question whether two packages can ever meet on one computer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

#: Operating systems. A computer runs exactly one of them.
SYSTEMS = frozenset({"windows", "linux", "macosx", "macos", "freebsd"})

#: Processor architectures and features, as clients name them; ``avx512...`` and ``avx10...`` are known besides.
# fmt: off
CPU_FEATURES = frozenset(
    {
        "x86_32", "x86_64", "x86", "x64", "i386", "i686", "amd64", "arm", "arm32", "arm64",
        "aarch64", "armv6", "armv7", "armv7l", "armv8", "riscv32", "riscv64", "ppc", "ppc64", "ppc64le",
        "loongarch64", "mips", "mips64", "cmov", "cx8", "cx16", "fxsr", "mmx", "mmxext", "3dnow",
        "3dnowext", "sse", "sse2", "sse3", "pni", "ssse3", "sse4", "sse4a", "sse4_1", "sse4_2",
        "sse41", "sse42", "avx", "avx2", "fma", "fma3", "fma4", "f16c", "xop", "bmi",
        "bmi1", "bmi2", "lzcnt", "abm", "popcnt", "aes", "pclmulqdq", "pclmul", "sha", "sha_ni",
        "rdrand", "rdseed", "adx", "movbe", "xsave", "lahf_lm", "lm", "neon", "asimd", "vfpv3",
        "vfpv4", "crc32", "sve", "sve2", "altivec", "vsx",
    }
)
# fmt: on
_NEWER_FEATURES = re.compile(r"avx512[a-z0-9_]*|avx10[a-z0-9_]*|avx_[a-z0-9_]+")

#: Longest expression in characters, deepest nesting, and most words up to which two expressions are compared.
MAX_CHARS = 1000
MAX_DEPTH = 40
MAX_COMPARED_WORDS = 12

_TOKEN = re.compile(r"\s*(&&|\|\||!|\(|\)|[A-Za-z0-9_][A-Za-z0-9_.]*)")
_EXAMPLE = 'such as "windows && x86_64 && (sse || sse2)"'


@dataclass(frozen=True)
class Word:
    name: str


@dataclass(frozen=True)
class Not:
    inner: Node


@dataclass(frozen=True)
class All:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Any:
    parts: tuple[Node, ...]


Node = Word | Not | All | Any


def known_word(word: str) -> str:
    """The word in lower case with ``sse4.1`` written ``sse4_1``. Raises ``ValueError`` for a word nobody knows."""
    name = word.strip().lower().replace(".", "_")
    if name in SYSTEMS or name in CPU_FEATURES or _NEWER_FEATURES.fullmatch(name):
        return name
    raise ValueError(
        f'"{word}" is not known; expected an operating system ({", ".join(sorted(SYSTEMS))}) or a CPU feature '
        f"({', '.join(sorted(CPU_FEATURES))}, avx512..., avx10..., avx_...)"
    )


def expression_text(text: str) -> str:
    """The expression as given, checked; "" (everywhere) for a blank one."""
    if text.strip():
        parse(text)
    return text.strip()


def expression_of_checks(checks: Iterable[tuple[str, bool]]) -> str:
    """The expression for an old list of checks: pairs of a word and whether it must not hold."""
    return " && ".join(f"!{word}" if negated else word for word, negated in checks)


def parse(text: str) -> Node:
    """Read an expression. Raises ``ValueError`` that says where and why it breaks."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"expected an expression of at most {MAX_CHARS} characters")
    parser = _Parser(_tokens(text))
    node = parser.any_of(0)
    if parser.peek() is not None:
        raise ValueError(f'unexpected "{parser.peek()}"; expected an expression {_EXAMPLE}')
    return node


def words(node: Node) -> set[str]:
    if isinstance(node, Word):
        return {node.name}
    if isinstance(node, Not):
        return words(node.inner)
    return set().union(*(words(part) for part in node.parts))


def holds(node: Node, present: frozenset[str]) -> bool:
    """Whether the expression holds on a computer that has exactly these systems and features."""
    if isinstance(node, Word):
        return node.name in present
    if isinstance(node, Not):
        return not holds(node.inner, present)
    if isinstance(node, All):
        return all(holds(part, present) for part in node.parts)
    return any(holds(part, present) for part in node.parts)


def never_together(first: str, second: str) -> bool:
    """Whether no computer can meet both expressions, so that their packages never meet in one folder.

    False where that is not sure: an expression with very many words is not worked out.
    """
    if not first.strip() or not second.strip():
        return False
    both = All((parse(first), parse(second)))
    named = words(both)
    systems: list[frozenset[str]] = [frozenset({"elsewhere"}), *(frozenset({name}) for name in named & SYSTEMS)]
    if {"macos", "macosx"} <= named:
        systems.append(frozenset({"macos", "macosx"}))
    features = sorted(named - SYSTEMS)
    if len(features) > MAX_COMPARED_WORDS:
        return False
    for system, chosen in product(systems, product((False, True), repeat=len(features))):
        present = system | {name for name, has in zip(features, chosen, strict=True) if has}
        if holds(both, present):
            return False
    return True


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f'unexpected "{text[at:].strip()[0]}"; expected an expression {_EXAMPLE}')
        found.append(match.group(1))
        at = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens: any_of -> all_of -> one."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def any_of(self, depth: int) -> Node:
        parts = [self._all_of(depth)]
        while self._take("||"):
            parts.append(self._all_of(depth))
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all_of(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._take("&&"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ValueError(f"expected at most {MAX_DEPTH} levels of ! and parentheses")
        if self._take("!"):
            return Not(self._one(depth + 1))
        if self._take("("):
            node = self.any_of(depth + 1)
            if not self._take(")"):
                raise ValueError(f'a ")" is missing; expected an expression {_EXAMPLE}')
            return node
        token = self.peek()
        if token is None or token in ("&&", "||", ")"):
            found = "it ends" if token is None else f'there is "{token}"'
            raise ValueError(f"{found} where a word is missing; expected an expression {_EXAMPLE}")
        self._at += 1
        return Word(known_word(token))

    def _take(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self._at += 1
        return True
