"""`python -m pinakes` is `pinakes`."""

from pinakes.cli import main

if __name__ == "__main__":
    main()
