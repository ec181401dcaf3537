"""What was compared (comparison, answer, tag) and what people thought of it (vote, note, blind review)."""

from comparisons.models.answer import Answer
from comparisons.models.comparison import Comparison, new_comparison_id
from comparisons.models.note import Note
from comparisons.models.review import BlindReview
from comparisons.models.tag import ComparisonTag
from comparisons.models.vote import Vote

__all__ = ["Answer", "BlindReview", "Comparison", "ComparisonTag", "Note", "Vote", "new_comparison_id"]
