"""Pinakes: a self-hosted server for collections of generative media.

The package is a library with edges. Each noun (`collections`, `assets`, `mlmodels`, …) is a plain module of types and
verbs; `store` holds its SQL, `api` its HTTP, `cli` its commands. Open a library with `pinakes.library.open_library`.
"""

__version__ = "0.1.0"
