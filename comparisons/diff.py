"""What two answers say differently, word by word."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

# A word with the space before it; space at the very end counts as a word of its own.
WORD = re.compile(r"\s*\S+|\s+$")
# Beyond this many words, frequent ones no longer anchor the comparison: it would take seconds.
EXACT_WORDS = 2000
# Pairs of equal words that may be looked at. Texts beyond it are long and of few words: only where they begin to
# differ, and where they agree again, is told.
MOST_PAIRS = 3_000_000
# Around a difference, where only differences are wanted.
CONTEXT_WORDS = 6

Kind = Literal["same", "changed", "gap"]
Run = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words of one side. `changed`: the other side has something else, or nothing, here. `gap`: left out."""

    kind: Kind
    text: str


@dataclass(slots=True)
class WordDiff:
    """Both sides in pieces. `changes` counts the places in which they differ."""

    left: list[Piece] = field(default_factory=list)
    right: list[Piece] = field(default_factory=list)
    changes: int = 0


def word_diff(left: str, right: str, *, only_differences: bool = False) -> WordDiff:
    """Compare two texts; space between words makes no difference. With `only_differences` long equal runs shrink."""
    words = WORD.findall(left), WORD.findall(right)
    result = WordDiff()
    for tag, i1, i2, j1, j2 in _runs(*([word.strip() for word in side] for side in words)):
        for pieces, run in ((result.left, words[0][i1:i2]), (result.right, words[1][j1:j2])):
            if tag == "equal" and only_differences:
                pieces.extend(_shrunk(run, is_first=i1 == 0 and j1 == 0, is_last=i2 == len(words[0])))
            elif tag == "equal":
                pieces.append(Piece("same", "".join(run)))
            elif run:
                pieces.extend(_changed("".join(run)))
        says_more = any(word.strip() for word in (*words[0][i1:i2], *words[1][j1:j2]))
        result.changes += tag != "equal" and says_more
    return result


def _runs(left: Sequence[str], right: Sequence[str]) -> Sequence[Run]:
    """As `SequenceMatcher.get_opcodes`."""
    is_long = max(len(left), len(right)) > EXACT_WORDS
    if _pairs(left, right, is_long=is_long) > MOST_PAIRS:
        return _edges(left, right)
    return SequenceMatcher(None, left, right, autojunk=is_long).get_opcodes()


def _pairs(left: Sequence[str], right: Sequence[str], *, is_long: bool) -> int:
    """How many pairs of equal words `SequenceMatcher` looks at again and again; it leaves out frequent ones if told."""
    counts = Counter(right)
    most = len(right) // 100 + 1 if is_long else len(right)
    return sum(counts[word] for word in left if counts[word] <= most)


def _edges(left: Sequence[str], right: Sequence[str]) -> list[Run]:
    """The words that both sides begin and end with, and one difference between them."""
    shorter = min(len(left), len(right))
    head = next((i for i in range(shorter) if left[i] != right[i]), shorter)
    tail = next((i for i in range(shorter - head) if left[-1 - i] != right[-1 - i]), shorter - head)
    ends = len(left) - tail, len(right) - tail
    runs = [
        ("equal", 0, head, 0, head),
        ("replace", head, ends[0], head, ends[1]),
        ("equal", ends[0], len(left), ends[1], len(right)),
    ]
    return [run for run in runs if run[1] < run[2] or run[3] < run[4]]


def _changed(text: str) -> Iterator[Piece]:
    """The space before a difference is no part of it."""
    words = text.lstrip()
    if len(words) < len(text):
        yield Piece("same", text[: len(text) - len(words)])
    if words:
        yield Piece("changed", words)


def _shrunk(run: Sequence[str], *, is_first: bool, is_last: bool) -> Iterator[Piece]:
    """The words next to the differences before and after an equal run."""
    head = 0 if is_first else CONTEXT_WORDS
    tail = 0 if is_last else CONTEXT_WORDS
    if len(run) <= head + tail + 1:
        yield Piece("same", "".join(run))
        return
    if head:
        yield Piece("same", "".join(run[:head]))
    yield Piece("gap", " … ")
    if tail:
        yield Piece("same", "".join(run[-tail:]))
