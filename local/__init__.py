"""Servers of other makers, for tests, measurements and trials. They end with whoever started them."""
