"""A move that is killed twice, with as many assets as a test has time for."""

from contextlib import closing
from pathlib import Path

import pytest
from conftest import new_database
from large_move import fill, move_through_two_kills

from pinakes.config import Config
from pinakes.library import open_library


@pytest.mark.timeout(300)
def test_a_move_that_is_killed_twice_ends_the_same(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    here = Config(data=str(tmp_path / "here"))
    with closing(open_library(here)) as library:
        fill(library, 1_200)
    with new_database("postgres", request) as url:
        there = Config(data=str(tmp_path / "there"), database_url=url)
        assert move_through_two_kills(here, there).files > 1_200
