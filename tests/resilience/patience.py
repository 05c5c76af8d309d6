"""HTTP clients that wait for a database which is away, and note what they were answered and when."""

import itertools
import threading
import time
from typing import NamedTuple

import httpx
from servers import Server
from workers import Worker

PATIENCE_S = 60


class Away(Exception):  # noqa: N818 - what a client meets, and no error of its own
    """A change was answered 503: it may be done or not."""


class Answer(NamedTuple):
    """When a request was answered, and how."""

    at: float
    is_change: bool
    status: int


class Diary:
    """All answers that any client got."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers}

    def pause(self, since: float, until: float) -> float:
        """The longest time without a change that was done, of those that ended `since` then and began `until` then."""
        done = sorted(answer.at for answer in self.answers if answer.status == 200 and answer.is_change)
        return max(later - sooner for sooner, later in itertools.pairwise(done) if later > since and sooner < until)


class Patient(httpx.HTTPTransport):
    """Repeats reads that are answered 503, as they are told to; what came of a change its client has to find out."""

    def __init__(self, diary: Diary) -> None:
        super().__init__()
        self._diary = diary

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        is_change = request.method != "GET" and not request.url.path.endswith("/get-bulk")
        until = time.monotonic() + PATIENCE_S
        while True:
            response = super().handle_request(request)
            self._diary.answers.append(Answer(time.monotonic(), is_change, response.status_code))
            if response.status_code != 503:
                return response
            response.close()
            assert int(response.headers["retry-after"]) > 0
            if is_change:
                raise Away
            assert time.monotonic() < until
            time.sleep(0.05)


def patient_client(server: Server, diary: Diary) -> httpx.Client:
    """Waits less than it is told, so that it notices when the database is back."""
    place = server.place
    return httpx.Client(base_url=f"{server.url}/v1", auth=place.auth, timeout=30, transport=Patient(diary))


def write_on(worker: Worker, server: Server, diary: Diary, stop: threading.Event) -> None:
    """Write until `stop`. After a 503 look what came of it, which must be all or nothing, and go on from there."""
    with patient_client(server, diary) as client:
        while not stop.is_set():
            try:
                worker.possible, write = worker.choose(client)
                response = write()
            except Away:
                worker.in_flight += 1
                time.sleep(0.05)
                worker.compare(client)
                continue
            assert response.status_code == 200, response.text
            worker.confirmed = worker.possible
            worker.writes += 1
