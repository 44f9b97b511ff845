"""``python -m pipeline`` is the command ``mvmesh``."""

from pipeline.cli import main

if __name__ == "__main__":  # worker processes import this module again
    main()
