"""The API documents itself, without the internet."""

from __future__ import annotations

import re
from typing import Any

ROUTES = {
    ("get", "/health_check"),
    ("post", "/models/new"),
    ("get", "/models"),
    ("get", "/models/{model_id}"),
    ("get", "/models/{model_id}/metadata"),
    ("get", "/models/{model_id}/content"),
    ("delete", "/models/{model_id}"),
    ("post", "/tensor/run"),
    ("post", "/tensor/run/batch"),
    ("post", "/tensor/run/async"),
    ("get", "/jobs"),
    ("get", "/jobs/{job_id}"),
    ("get", "/jobs/{job_id}/metadata"),
    ("get", "/jobs/{job_id}/content"),
    ("get", "/jobs/{job_id}/results"),
    ("get", "/job/{job_id}/results"),
    ("get", "/jobs/{job_id}/rejects"),
    ("post", "/jobs"),
    ("post", "/jobs/{job_id}/cancel"),
    ("get", "/jobs/{job_id}/events"),
    ("get", "/jobs/{job_id}/metrics"),
    ("patch", "/tensor/train"),
    ("post", "/runs"),
    ("get", "/runs"),
    ("get", "/runs/{run_id}"),
    ("delete", "/runs/{run_id}"),
    ("post", "/runs/{run_id}/metrics"),
    ("get", "/runs/{run_id}/metrics"),
    ("post", "/tickets"),
}


def test_every_route_is_in_the_openapi_3_1_document(server: Any) -> None:
    document = server.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    found = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert found >= ROUTES
    assert not any(path.startswith("/v1/") for _, path in found)


def test_every_reference_in_the_document_leads_somewhere(server: Any) -> None:
    answer = server.client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert references <= set(schemas)
    assert {"NewModel", "RunRequest", "RunBatchRequest", "ScoreRequest", "Problem"} <= references


def test_the_documentation_page_loads_everything_from_this_server(server: Any) -> None:
    page = server.client.get("/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    for source in sources:
        assert source.startswith("/"), source
        assert server.client.get(source).is_success


def test_the_counters_name_routes_and_never_ids(server: Any, churn: Any) -> None:
    server.client.get(f"/models/{churn['model_id']}")
    text = server.client.get("/metrics").text
    assert 'route="/models/{model_id}",status="200"' in text
    assert churn["model_id"] not in text
