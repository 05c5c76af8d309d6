"""The peers that there are, in the order of the table."""

from bench.peers.directus.service import PEER as DIRECTUS
from bench.peers.idiomatic.service import LARGE as LARGE_IDIOMATIC
from bench.peers.idiomatic.service import PEER as IDIOMATIC
from bench.peers.kinto.service import PEER as KINTO

PEERS = [IDIOMATIC, LARGE_IDIOMATIC, KINTO, DIRECTUS]
