"""What an answer has said so far."""


class Delivered:
    """Texts of an answer to count tokens of, in order: how many `pieces`, and what they say together.

    Few things are touched for each piece, as thousands of streams may take turns: one counter, and the end of one text
    (decision 0026). `text` is UTF-8, with the lone surrogates that JSON can spell as they are.
    """

    __slots__ = ("pieces", "text")

    def __init__(self) -> None:
        self.pieces = 0
        self.text = bytearray()

    def add(self, piece: str) -> None:
        self.text += piece.encode("utf-8", "surrogatepass")
        self.pieces += 1

    def __len__(self) -> int:
        return self.pieces

    def __str__(self) -> str:
        return self.text.decode("utf-8", "surrogatepass")
