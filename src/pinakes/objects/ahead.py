"""Reading while something else is written.

obstore drives its own event loop for as long as it takes bytes from an iterator, so that nothing within that may ask
obstore for bytes: another thread does.
"""

import queue
import threading
from collections.abc import Generator, Iterator

_AHEAD = 8


def read_ahead(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same chunks, a few of them beforehand; an error comes where it came. To be closed when no more are wanted."""
    line: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    is_over = threading.Event()

    def read() -> None:
        try:
            for chunk in chunks:
                line.put(chunk)
                if is_over.is_set():
                    return
            line.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the chunks are taken
            line.put(error)

    reader = threading.Thread(target=read, name="ahead", daemon=True)
    reader.start()
    try:
        while (chunk := line.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        is_over.set()
        while reader.is_alive():
            while not line.empty():
                line.get_nowait()
            reader.join(0.01)
