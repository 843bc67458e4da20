"""The soak of tests/benchmarks/soak.py, for nine seconds."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from soak import soak

MINUTES = float(os.environ.get("MARIANNE_SOAK_MINUTES", "0.15"))


@pytest.mark.slow
@pytest.mark.timeout(600 + 90 * MINUTES)
def test_what_is_asked_and_killed_meanwhile_leaves_nothing_twice_lost_or_unproven():
    assert soak(MINUTES, seed=int(os.environ.get("MARIANNE_SOAK_SEED", "1"))) == []
