"""A line in the log for each answer that ends: ids, times and figures, never its text."""

import logging

from .logs import hashed, safe_id, safe_model
from .tokens import counted
from .turn import Answer

log = logging.getLogger(__name__)


def tell(conversation_id: str, owner: str, answer: Answer) -> None:
    """Log an answer that has just been settled."""
    counts = counted(answer.usage)
    fields = {
        "answer": safe_id(answer.id),
        "conversation": safe_id(conversation_id),
        "status": answer.status,
        "failure": answer.failure.kind if answer.failure else None,
        "model": safe_model(answer.model),
        "seconds": round(answer.ended - answer.started, 3) if answer.ended else None,
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "estimated": answer.usage_estimated,
        "visitor": hashed(owner),
    }
    log.info("answer", extra={"fields": fields})
