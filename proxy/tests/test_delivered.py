"""What an answer has said so far: every piece counts, and all of them together are its text."""

from proxy.upstreams.delivered import Delivered


def test_pieces_are_counted_and_their_text_is_kept_in_order():
    delivered = Delivered()
    assert (len(delivered), str(delivered)) == (0, "")
    for piece in ("one", " zwölf", " 🙂", ""):
        delivered.add(piece)
    assert (len(delivered), str(delivered)) == (4, "one zwölf 🙂")


def test_half_of_a_character_as_json_can_spell_it_stays_what_it_is():
    delivered = Delivered()
    for piece in ("a \ud83d", "\ude42 b"):
        delivered.add(piece)
    assert str(delivered) == "a \ud83d\ude42 b"
