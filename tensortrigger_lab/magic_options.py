"""``%config TensorTrigger``: the settings of ``%tt`` in this notebook. There is no key among them."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets import Bool, Enum, Float, TraitError, Unicode, default, observe, validate
from traitlets.config import Configurable

from tensortrigger_lab.config import Settings, from_environment
from tensortrigger_lab.errors import BadInput
from tensortrigger_lab.session import session

TIMEOUT = 60.0


def options_of(shell: InteractiveShell) -> TensorTrigger:
    """The settings as the shell's configuration has them; told and left aside where they cannot be right.

    A value that ``%config`` refused stays in the shell's configuration: it must not keep ``%tt`` from loading.
    """
    try:
        return TensorTrigger(parent=shell)
    except TraitError as error:
        sys.stderr.write(f"%tt leaves the settings of TensorTrigger aside: {error}\n")
        return TensorTrigger()


class TensorTrigger(Configurable):
    """What ``%config TensorTrigger.NAME = VALUE`` changes, and ``c.TensorTrigger`` in a profile."""

    url = Unicode(help="The backend. Another one is asked without a key: give it with %tt login.").tag(
        config=True
    )
    timeout = Float(TIMEOUT, min=0.1, help="Seconds to wait for an answer's next bytes.").tag(config=True)
    progress = Bool(True, help="Whether long calls show how far they have come.").tag(config=True)
    table = Enum(
        ("table", "dataframe"), "table", help="How models, runs and jobs are listed: a table, or a DataFrame."
    ).tag(config=True)

    @default("url")
    def _url_of_the_session(self) -> str:
        client = session().client_if_made
        return client.url if client is not None else from_environment().url

    @validate("url")
    def _url_that_can_be_asked(self, proposal: Any) -> str:
        try:
            return Settings(proposal["value"]).url
        except BadInput as error:
            raise TraitError(error.detail) from None

    @observe("url")
    def _use_url(self, change: Any) -> None:
        # A login has made its client already, key included, when it tells the new URL here.
        if session().client.url != change["new"]:
            session().configure(url=change["new"], timeout=self.timeout)

    @observe("timeout")
    def _use_timeout(self, change: Any) -> None:
        session().configure(timeout=change["new"])

    def follow_session(self) -> None:
        """Show the URL of the client that is in use."""
        client = session().client_if_made
        if client is not None:
            self.url = client.url
