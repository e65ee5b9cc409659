"""``python -m pipelines``: the same as the ``jinkong`` command."""

from pipelines.command import main

main()
