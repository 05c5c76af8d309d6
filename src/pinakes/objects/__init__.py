"""Bytes in an object store: S3 and what speaks it, GCS, Azure, or memory."""
