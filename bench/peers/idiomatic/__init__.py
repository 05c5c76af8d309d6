"""The collections service a Python developer writes in a day: FastAPI, Pydantic and the async ORM of SQLAlchemy."""
