from comparisons.views.chat import ComparingChatCompletions
from comparisons.views.compare import CompareModels
from comparisons.views.history import ComparisonDetail, ComparisonExport, ComparisonList, ComparisonListExport
from comparisons.views.judging import Notes, Rerun, Votes

__all__ = [
    "CompareModels",
    "ComparingChatCompletions",
    "ComparisonDetail",
    "ComparisonExport",
    "ComparisonList",
    "ComparisonListExport",
    "Notes",
    "Rerun",
    "Votes",
]
