"""Bytes in a folder of this machine."""
