"""The OpenAPI description of comparisons, one decorator for each operation."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from comparisons.export import FORMATS
from comparisons.filters import MOST_LIMIT, USUAL_LIMIT
from comparisons.models.comparison import Status
from comparisons.schema.answers import (
    COMPARISON,
    NOTE,
    PAGE,
    STORED,
    UNANSWERED,
    VOTE,
    ComparisonFailedSerializer,
    ComparisonPageSerializer,
    ComparisonSerializer,
    NoteSerializer,
    SlotsErrorEnvelopeSerializer,
    StoredComparisonSerializer,
    VoteSerializer,
)
from comparisons.schema.requests import (
    ComparisonRequestSerializer,
    NoteRequestSerializer,
    RerunRequestSerializer,
    VoteRequestSerializer,
)
from comparisons.schema.streams import STREAM, ComparisonEventSerializer
from proxy.schema.errors import Refusal, refusals
from proxy.schema.headers import ANSWERS, OPTIONS, answered

MEMBERS: Any = [{"Bearer": []}, {"ApiKey": []}]
OTHERWISE = {"Age", "x-gateway-cost-usd", "idempotent-replayed"}  # there is none, or it is described here
HEADERS = [
    *(header for header in ANSWERS if header.name not in OTHERWISE),
    answered(
        "idempotent-replayed",
        {"type": "string", "const": "true"},
        "There when the comparison of this `Idempotency-Key` began before, and this is its answer again.",
        on=[200, 502],
    ),
    answered(
        "x-should-retry",
        {"type": "string", "const": "false"},
        "There when the answer of this `Idempotency-Key` stays as it is: choose a new key to compare anew.",
        on=[502],
    ),
]
COST = OpenApiParameter(
    "x-gateway-cost-usd",
    {"type": "string", "pattern": r"^\d+\.\d{6}$"},
    OpenApiParameter.HEADER,
    description="What all answers together cost, in US dollars. Not on streams.",
    response=[200, 502],
)
FAILED = {
    **COMPARISON,
    "status": "failed",
    "answers": [UNANSWERED],
    "error": Refusal("", "upstream_error", "none_answered", "No model answered. Each answer says why.").body()["error"],
}
COMPARED: dict[Any, Any] = {
    (200, "application/json"): OpenApiResponse(
        ComparisonSerializer,
        "At least one model answered. With `stream: true` named server-sent events; then this is the status whatever "
        "the models do.",
        [OpenApiExample("one of two", COMPARISON)],
    ),
    (200, "text/event-stream"): OpenApiResponse(
        ComparisonEventSerializer, examples=[OpenApiExample("one of two", STREAM)]
    ),
    502: OpenApiResponse(ComparisonFailedSerializer, "No model answered.", [OpenApiExample("none", FAILED)]),
    **refusals(400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 503, envelope=SlotsErrorEnvelopeSerializer),
}
EXAMPLES = {
    "two models": {"models": ["demo/echo", "demo/down"], "prompt": "Hello"},
    "streamed": {"models": ["demo/echo", "demo/echo"], "prompt": "Hello", "stream": True},
    "with parameters": {
        "models": ["demo/echo", {"model": "demo/echo", "label": "short", "params": {"max_tokens": 1}}],
        "messages": [{"role": "user", "content": "Say three words."}],
        "params": {"temperature": 0},
        "title": "Short or long?",
        "tags": ["demo"],
    },
}


def _create(operation_id: str, tag: str, summary: str) -> Any:
    return extend_schema(
        operation_id=operation_id,
        tags=[tag],
        summary=summary,
        description="Asks 2 to 10 models at once and answers with all that they say, side by side. Every slot is "
        "checked and reserved for first; if one cannot be asked, nothing is. Whatever goes wrong later with one slot "
        "is told in its place, and never touches another. The comparison is stored unless `store` is false. An "
        "`Idempotency-Key` stands for the comparison from its beginning: sent again, it is waited for and told again, "
        "also where models failed or it was interrupted.",
        auth=MEMBERS,
        parameters=[*OPTIONS, *HEADERS, COST],
        request=OpenApiRequest(
            ComparisonRequestSerializer, examples=[OpenApiExample(name, body) for name, body in EXAMPLES.items()]
        ),
        responses=COMPARED,
    )


create_comparison = _create("create_comparison", "comparisons", "Compare models")
create_comparison_alias = _create("create_comparison_alias", "aliases", "The same as POST /compare_models")


def _query(name: str, description: str, schema: Any = OpenApiTypes.STR) -> OpenApiParameter:
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, description=description)


ONE = OpenApiParameter("comparison_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`cmp_…`")
FILTERS = [
    _query("q", "Words that the title or the prompt contains, all of them."),
    _query("model", "A model that was asked, or that answered."),
    _query("tag", "A tag."),
    _query("author", "A username."),
    _query("winner", "A model or a slot that somebody voted for, or `tie`, or `all_bad`."),
    _query("status", "How it ended.", {"type": "string", "enum": list(Status.values)}),
    _query("since", "A day or a time, included. Without a zone it is the tenant's."),
    _query("until", "A day or a time, not included."),
]
AFTER = _query("after", "The `last_id` of the page before.")
LIMIT = _query(
    "limit",
    "How many to a page.",
    {"type": "integer", "minimum": 1, "maximum": MOST_LIMIT, "default": USUAL_LIMIT},
)
FORMAT = _query("format", "`jsonl` unless given.", {"type": "string", "enum": list(FORMATS)})
READ_REFUSALS = refusals(400, 401, 403, 404, 405, 503)

list_comparisons = extend_schema(
    operation_id="list_comparisons",
    tags=["comparisons"],
    summary="Search what was compared",
    description="Comparisons of your tenant, the newest first.",
    auth=MEMBERS,
    parameters=[*FILTERS, LIMIT, AFTER],
    responses={
        200: OpenApiResponse(ComparisonPageSerializer, "A page.", [OpenApiExample("a page", PAGE)]),
        **refusals(400, 401, 403, 405, 503),
    },
)
retrieve_comparison = extend_schema(
    operation_id="retrieve_comparison",
    tags=["comparisons"],
    summary="Read one comparison",
    description="With everything that was asked, answered and said about it. Its status is `running` until its answers "
    "are recorded, a second or so after they came.",
    auth=MEMBERS,
    parameters=[ONE],
    responses={
        200: OpenApiResponse(StoredComparisonSerializer, "The comparison.", [OpenApiExample("stored", STORED)]),
        **READ_REFUSALS,
    },
)


def _export(operation_id: str, summary: str, parameters: list[OpenApiParameter]) -> Any:
    return extend_schema(
        operation_id=operation_id,
        tags=["comparisons"],
        summary=summary,
        description="`jsonl`: a whole comparison a line. `csv`: an answer a line; cells that a spreadsheet would take "
        "for formulas begin with an apostrophe. `md`: to read.",
        auth=MEMBERS,
        parameters=parameters,
        responses={
            (200, "application/jsonl"): OpenApiResponse(OpenApiTypes.STR, "The file."),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "The file."),
            (200, "text/markdown"): OpenApiResponse(OpenApiTypes.STR, "The file."),
            **READ_REFUSALS,
        },
    )


export_comparison = _export("export_comparison", "Download one comparison", [ONE, FORMAT])
export_comparisons = _export("export_comparisons", "Download all that is found", [*FILTERS, FORMAT])
create_vote = extend_schema(
    operation_id="create_vote",
    tags=["comparisons"],
    summary="Vote",
    description="One vote for each person and comparison: a later one replaces it.",
    auth=MEMBERS,
    parameters=[ONE],
    request=VoteRequestSerializer,
    responses={
        200: OpenApiResponse(VoteSerializer, "The vote.", [OpenApiExample("a vote", VOTE)]),
        **refusals(400, 401, 403, 404, 405, 408, 413, 415, 503),
    },
)
create_note = extend_schema(
    operation_id="create_note",
    tags=["comparisons"],
    summary="Write a note",
    description="Everybody of your tenant can read it beside the comparison.",
    auth=MEMBERS,
    parameters=[ONE],
    request=NoteRequestSerializer,
    responses={
        201: OpenApiResponse(NoteSerializer, "The note.", [OpenApiExample("a note", NOTE)]),
        **refusals(400, 401, 403, 404, 405, 408, 413, 415, 503),
    },
)
rerun_comparison = extend_schema(
    operation_id="rerun_comparison",
    tags=["comparisons"],
    summary="Ask the same again",
    description="The same question to other models, or again to the same. The new comparison names this one in "
    "`successor_of`. One model is enough here.",
    auth=MEMBERS,
    parameters=[ONE, *OPTIONS, *HEADERS, COST],
    request=RerunRequestSerializer,
    responses=COMPARED,
)
