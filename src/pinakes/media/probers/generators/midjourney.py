"""Midjourney: the prompt, its options and the number of the job, as a description."""

import re
from collections.abc import Mapping

from msgspec import UNSET

from pinakes.asset_types import Generation
from pinakes.media.probers.generators import values

NAME = "Midjourney"
_JOB = re.compile(r"\s*Job ID: [0-9a-f]{8}-[0-9a-f-]{27}")
_SEED = re.compile(r"--seed (\d{1,20})\b", re.ASCII)


def read(texts: Mapping[str, str]) -> Generation | None:
    for name in ("description", "imagedescription"):
        text = texts.get(name, "")[: 2 * values.MAX_TEXT]
        if job := _JOB.search(text) if "Job ID: " in text else None:
            seed = _SEED.search(text)
            return Generation(
                generator=NAME,
                prompt=values.text(text[: job.start()]),
                seed=values.seed(seed[1]) if seed else UNSET,
            )
    return None
