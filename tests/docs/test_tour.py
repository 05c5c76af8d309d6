"""The README tells what happens."""

from pathlib import Path

from tour import README, guide, same_each_time


def test_the_tour_shows_what_it_says(tmp_path: Path) -> None:
    readme = README.read_text()
    with guide(tmp_path) as one:
        retold = one.retell(readme)
        status = one.leave()
    assert same_each_time(retold) == same_each_time(readme)
    assert len(one.taken) >= 10
    assert status == 0
