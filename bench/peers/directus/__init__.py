"""Directus: a server that gives tables an API and an admin's pages, here with the tables of collections."""
