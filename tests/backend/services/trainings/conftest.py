"""A school for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from schools import School

if TYPE_CHECKING:
    from tests.backend.services.conftest import JobLine


@pytest.fixture
def school(line: JobLine) -> Iterator[School]:
    school = School(line)
    yield school
    school.queue.close()
    school.publish_line.close()
