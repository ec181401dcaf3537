"""Comparisons, votes and notes in the admin: to look at. They are made by callers, and deleted by retention."""

from comparisons.admin.comparisons import ComparisonAdmin
from comparisons.admin.feedback import NoteAdmin, VoteAdmin

__all__ = ["ComparisonAdmin", "NoteAdmin", "VoteAdmin"]
