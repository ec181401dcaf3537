import time

from hypothesis import given, strategies as st

from comparisons.diff import Piece, word_diff


def marked(pieces: list[Piece]) -> str:
    return "".join(f"[{piece.text}]" if piece.kind == "changed" else piece.text for piece in pieces)


def test_it_marks_the_words_that_differ():
    diff = word_diff("The quick brown fox jumps.", "The slow brown fox jumps high.")
    assert marked(diff.left) == "The [quick] brown fox [jumps.]"
    assert marked(diff.right) == "The [slow] brown fox [jumps high.]"
    assert diff.changes == 2


def test_what_one_side_alone_says_is_marked_there():
    diff = word_diff("one two three", "one three")
    assert (marked(diff.left), marked(diff.right), diff.changes) == ("one [two] three", "one three", 1)


def test_space_makes_no_difference():
    assert word_diff("one two", "one\n\n  two").changes == 0
    assert word_diff("one two", "one two\n").changes == 0
    assert word_diff("", " ").changes == 0


def test_equal_texts_have_no_differences():
    assert word_diff("same", "same").changes == 0
    assert word_diff("", "").changes == 0


def test_only_the_differences_with_a_few_words_around_them():
    words = [str(number) for number in range(100)]
    changed = [*words[:50], "fifty", *words[51:]]
    diff = word_diff(" ".join(words), " ".join(changed), only_differences=True)
    assert marked(diff.left) == " …  44 45 46 47 48 49 [50] 51 52 53 54 55 56 … "
    assert marked(diff.right) == " …  44 45 46 47 48 49 [fifty] 51 52 53 54 55 56 … "


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_is_lost(left: str, right: str):
    diff = word_diff(left, right)
    assert "".join(piece.text for piece in diff.left) == left
    assert "".join(piece.text for piece in diff.right) == right
    assert (diff.changes == 0) == (left.split() == right.split())


def test_long_and_monotonous_texts_take_no_time():
    began = time.process_time()
    word_diff("again " * 20_000 + "a", "b " + "again " * 19_000)
    assert time.process_time() - began < 5


def test_of_long_texts_of_few_words_only_the_edges_are_compared():
    words = [str(number % 130) for number in range(30_000)]
    others = [*words[:10], *(str(number * 7 % 130) for number in range(30_000)), *words[-10:]]
    diff = word_diff(" ".join(words), " ".join(others))
    assert diff.changes == 1
    assert diff.left[0] == Piece("same", " ".join(words[:10]))
    assert "".join(piece.text for piece in diff.left) == " ".join(words)
    assert "".join(piece.text for piece in diff.right) == " ".join(others)
