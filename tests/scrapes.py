"""Numbers that a process tells at ``/metrics``."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families


def scraped(client: httpx.Client, name: str, **labels: str) -> float | None:
    """What a sample says now; None where it is missing. Names are without their common beginning."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name == f"tensortrigger_{name}" and sample.labels == labels:
                return float(sample.value)
    return None


def counted(client: httpx.Client, name: str, **labels: str) -> float:
    """The same of a sample that must be there."""
    value = scraped(client, name, **labels)
    assert value is not None, f"no {name} of {labels}"
    return value
