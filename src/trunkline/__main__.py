"""``python -m trunkline``."""

from trunkline.cli.main import main

main()
