"""Tickets with which a kernel publishes one model, once, soon: the key itself never leaves this server."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from tensortrigger_server.handler import TensorTriggerHandler
from tensortrigger_server.problems import Problem

LIFETIME = 300
"""Seconds; the largest model is uploaded in less."""


class TicketsHandler(TensorTriggerHandler):
    """``POST tickets``: mint one."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Answer ``{ticket, url, expires_in}`` for ``{model}``."""
        body = self.members()
        name = body.get("model")
        if set(body) != {"model"} or not isinstance(name, str) or not name:
            raise Problem(400, "bad_body", 'Name the model that the ticket is for: {"model": "churn"}.')
        upstream = self.extension.upstream
        minted = await upstream.json("POST", "tickets", body={"model": name, "expires_in": LIFETIME})
        ticket = minted.get("ticket")
        if not isinstance(ticket, str):
            raise Problem(502, "backend_failed", f"What answers at {upstream.url} mints no tickets.")
        self.set_header("Cache-Control", "no-store")
        self.answer({"ticket": ticket, "url": upstream.url, "expires_in": LIFETIME}, 201)
