"""Kinto, Mozilla's store of JSON records in collections, on PostgreSQL."""
