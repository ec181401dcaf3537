"""Comparisons as files: JSONL (whole), CSV (an answer a line, safe in spreadsheets), Markdown (to read)."""

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import orjson

from accounts.errors import InvalidRequest
from proxy.http.response import LiveResponse, Write

JSON = dict[str, Any]
COLUMNS = (
    "comparison", "created_at", "title", "tags", "author", "comparison_status", "prompt", "slot", "label",
    "requested_model", "resolved_model", "provider", "status", "error", "ttft_ms", "latency_ms", "output_tokens_per_s",
    "prompt_tokens", "completion_tokens", "cost_usd", "votes", "content",
)  # fmt: skip
# A cell that begins so is a formula to Excel, LibreOffice or Google Sheets, also behind a quote or blanks.
FORMULA = re.compile(r"\s*[=+\-@|%\t\r\n\uff1d\uff0b\uff0d\uff20]")
FENCE = re.compile(r"`{3,}")


class Format:
    """`head` begins the file; `write` gives the text of one comparison."""

    def __init__(self, content_type: str, head: str, write: Callable[[JSON], str]) -> None:
        self.content_type = content_type
        self.head = head
        self.write = write


class Export(LiveResponse):
    """A download that is written as it is read from the database."""

    def __init__(self, name: str, kind: str, batches: AsyncIterator[Sequence[JSON]]) -> None:
        self._format = FORMATS[kind]
        super().__init__(content_type=self._format.content_type)
        self.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
        self.headers["X-Content-Type-Options"] = "nosniff"
        self._batches = batches

    async def pump(self, write: Write) -> bytes:
        await write(self._format.head.encode())
        async for batch in self._batches:
            await write("".join(self._format.write(comparison) for comparison in batch).encode())
        return b""


def format_of(value: str) -> str:
    """Raises InvalidRequest for one that there is not."""
    if value not in FORMATS:
        raise InvalidRequest(f"format must be one of {', '.join(FORMATS)}.", param="format")
    return value


def _line(comparison: JSON) -> str:
    return orjson.dumps(comparison).decode() + "\n"


def _rows(comparison: JSON) -> str:
    return "".join(_row(_cells(comparison, answer)) for answer in comparison["answers"])


def _row(cells: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_safe(cell) for cell in cells])
    return out.getvalue()


def _safe(cell: Any) -> Any:
    """Texts that a spreadsheet would take for a formula are told apart by an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def _cells(comparison: JSON, answer: JSON) -> list[Any]:
    usage, metrics = answer["usage"] or {}, answer["metrics"]
    won = sum(vote["winner"] == answer["slot"] for vote in comparison["votes"])
    return [
        comparison["id"],
        comparison["created_at"],
        comparison["title"],
        ", ".join(comparison["tags"]),
        comparison["author"],
        comparison["status"],
        comparison["prompt"],
        answer["slot"],
        answer["label"],
        answer["requested_model"],
        answer["resolved_model"],
        answer["provider"],
        answer["status"],
        (answer["error"] or {}).get("code"),
        metrics["ttft_ms"],
        metrics["latency_ms"],
        metrics["output_tokens_per_s"],
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        answer["cost_usd"],
        won,
        answer["content"],
    ]


def _page(comparison: JSON) -> str:
    """Texts of people and models stand in fences that they cannot close."""
    title = _plain(comparison["title"] or comparison["id"])
    about = [
        f"- id: {comparison['id']}",
        f"- status: {comparison['status']}",
        f"- asked: {comparison['created_at']} by {_plain(comparison['author'])}",
        *([f"- tags: {_plain(', '.join(comparison['tags']))}"] if comparison["tags"] else []),
        *([f"- votes: {_plain(_votes(comparison))}"] if comparison["votes"] else []),
    ]
    parts = [f"# {title}", "\n".join(about), "## Prompt", _fenced(comparison["prompt"])]
    for answer in comparison["answers"]:
        parts += [f"## {_plain(answer['label'])}: {_plain(answer['requested_model'])}", _measures(answer)]
        error = (answer["error"] or {}).get("message")
        parts += [f"Failed: {_plain(error)}"] if error else []
        parts += [_fenced(answer["content"])] if answer["content"] else []
    if comparison["notes"]:
        parts += [
            "## Notes",
            *(f"{_plain(note['author'])}:\n\n{_fenced(note['text'])}" for note in comparison["notes"]),
        ]
    return "\n\n".join(parts) + "\n\n"


def _votes(comparison: JSON) -> str:
    labels = {answer["slot"]: answer["label"] for answer in comparison["answers"]}
    return "; ".join(f"{vote['voter']}: {labels.get(vote['winner'], vote['winner'])}" for vote in comparison["votes"])


def _measures(answer: JSON) -> str:
    metrics, usage = answer["metrics"], answer["usage"] or {}
    told = {
        "status": answer["status"],
        "answered by": answer["resolved_model"],
        "time to first token": _ms(metrics["ttft_ms"]),
        "total": _ms(metrics["latency_ms"]),
        "tokens per second": metrics["output_tokens_per_s"],
        "tokens": usage.get("completion_tokens"),
        "cost": f"${answer['cost_usd']}",
    }
    return "\n".join(f"- {name}: {_plain(str(value))}" for name, value in told.items() if value is not None)


def _ms(value: int | None) -> str | None:
    return None if value is None else f"{value} ms"


def _plain(text: str) -> str:
    """In one line, with nothing that Markdown or HTML would take for its own."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>()#!|~&])", r"\\\1", line)


def _fenced(text: str) -> str:
    longest = max((len(ticks) for ticks in FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text}\n{fence}"


FORMATS = {
    "jsonl": Format("application/jsonl; charset=utf-8", "", _line),
    "csv": Format("text/csv; charset=utf-8", _row(COLUMNS), _rows),
    "md": Format("text/markdown; charset=utf-8", "", _page),
}
