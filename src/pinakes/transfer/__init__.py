"""Whole libraries on their way in and out."""
