"""How fast the service is, and beside what: python -m bench."""
