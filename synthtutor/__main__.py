"""``python -m synthtutor``: the command line."""

from synthtutor.cli import main

if __name__ == "__main__":
    main()
