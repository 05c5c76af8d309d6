"""What looks into files. Imported in child processes only: the decoders never run in the server."""
