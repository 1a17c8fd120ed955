"""The API documents itself, without the internet."""

from __future__ import annotations

import re
from typing import Any

from fastapi.routing import APIRoute

from tensortrigger_backend.api import operations
from tensortrigger_backend.api.app import ROUTERS

ROUTES = {
    (method.lower(), route.path)
    for router in (*ROUTERS, operations.router)
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods
}


def test_every_route_is_in_the_openapi_3_1_document_and_says_what_it_does(server: Any) -> None:
    document = server.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    found = {
        (method, path): told
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    }
    assert set(found) == ROUTES
    assert [route for route, told in found.items() if not told.get("description")] == []
    assert {("post", "/models/new"), ("patch", "/tensor/train"), ("delete", "/jobs/{job_id}")} <= ROUTES


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
