"""Run the `nanoae` command as `python -m nanoae`."""

import sys

from nanoae.cli import main

sys.exit(main())
