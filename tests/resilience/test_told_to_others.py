"""What processes tell each other as they go: rates of keys, metrics, and whether their settings agree."""

import itertools
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import ENGINES, new_database
from crews import Crew, at, behind, two_processes, wait_for, workers
from servers import make_place, ok, serving

RATE = 40
SECONDS = 4


@pytest.fixture(params=ENGINES)
def limited(request: pytest.FixtureRequest) -> Iterator[Crew]:
    with two_processes(request.param, request, rate_limit=RATE) as crew:
        yield crew


def press(clients: list[httpx.Client], seconds: float) -> tuple[int, int, float]:
    """Send as fast as may be through each client; how many requests were answered, how many refused, and how long each
    client sent without a pause: what comes back while a machine that is busy otherwise holds a client up, is lost.
    """
    until = time.monotonic() + seconds

    def send(client: httpx.Client) -> tuple[int, int, float]:
        counts = {200: 0, 429: 0}
        pressed, now = 0.0, time.monotonic()
        while now < until:
            answer = client.get("/collections")
            counts[answer.status_code] += 1
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
            before, now = now, time.monotonic()
            pressed += min(now - before, 1 / RATE)
        return counts[200], counts[429], pressed

    with ThreadPoolExecutor(len(clients)) as pool:
        answered, refused, pressed = zip(*pool.map(send, clients), strict=True)
    return sum(answered), sum(refused), min(pressed)


@pytest.mark.parametrize("through", ["both", "one", "changing"])
def test_a_rate_holds_over_all_processes(limited: Crew, through: str) -> None:
    """A bucket holds a second's worth, and another comes each second: so many pass, whichever way they take."""
    with limited.clients() as both:
        time.sleep(1.5)
        begun = time.monotonic()
        if through == "both":
            answered, refused, pressed = press(both, SECONDS)
        elif through == "one":
            answered, refused, pressed = press(both[:1], SECONDS)
        else:
            turns = (press([both[n % 2]], SECONDS / 8) for n in range(8))
            answered, refused, pressed = map(sum, zip(*turns, strict=True))
        least, most = RATE * (1 + pressed), RATE * (1 + time.monotonic() - begun)
    print(f"through {through}: {answered} of {least:.0f} to {most:.0f} passed, {refused} were refused")
    assert 0.75 * least < answered < 1.3 * most
    assert refused


def test_a_key_that_stays_below_its_rate_is_never_refused(limited: Crew) -> None:
    with limited.clients() as both:
        time.sleep(1.5)
        for client in itertools.islice(itertools.cycle(both), 3 * RATE):
            ok(client.get("/collections"))
            time.sleep(1.2 / RATE)


def test_metrics_are_those_of_all_workers(request: pytest.FixtureRequest) -> None:
    """Whichever is asked, and also of one that died since."""
    with two_processes("postgres", request) as crew, crew.clients() as (here, there):
        before = answered(here)
        for _ in range(10):
            ok(here.get("/collections"))
            ok(there.get("/tags"))
        for client in (here, there):
            assert answered(client) - before >= 20
            text = client.get(at(client, "/metrics"), auth=None).text
            assert text.count("# TYPE") == 5
            assert value(text, r'pinakes_request_seconds_count{method="GET",route="/tags",status="200"}') == 10
            assert value(text, "pinakes_sql_statements") > 20
        statements = value(text, "pinakes_sql_statements")
        time.sleep(1.5)
        behind(there.get("/tags"), crew.servers[0]).kill()
        wait_for(lambda: len(workers(crew.servers[0])) == 2)
        text = here.get(at(here, "/metrics"), auth=None).text
        assert value(text, r'pinakes_request_seconds_count{method="GET",route="/tags",status="200"}') == 11
        assert value(text, "pinakes_sql_statements") >= statements


def value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def answered(client: httpx.Client) -> float:
    """How many requests all workers have answered, as one of them says."""
    text = client.get(at(client, "/metrics"), auth=None).text
    return sum(float(one) for one in re.findall(r"^pinakes_request_seconds_count\S* (\S+)$", text, re.MULTILINE))


def test_settings_that_differ_are_told(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with new_database("postgres", request) as url:
        place = make_place(tmp_path, database_url=url)
        with serving(place, database_url=url, trash_days=7), serving(place, database_url=url, trash_days=8):
            wait_for(lambda: '"settings differ"' in place.log.read_text())
    told = [line for line in place.log.read_text().splitlines() if '"settings differ"' in line]
    assert len(told) == 1
    assert '"settings":["trash_days"]' in told[0]
