"""Every model of the contract, and the rows that it is trained on."""

from __future__ import annotations

import pytest

from tests.models.cases import MODELS, case_of


@pytest.fixture(params=MODELS, scope="module")
def case(request):
    return case_of(request.param)
