"""``python -m ml_release``: the same as the command ``ml-release``."""

from ml_release.cli import main

main()
