"""The HTTP edge: an ASGI application on top of a library.

`http` reads requests and writes answers, `routes` finds the handler, `app` ties the two to a library, `openapi`
describes what there is. The routes of each noun are in the file of its name.
"""
