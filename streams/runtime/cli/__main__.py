"""`python -m streams.runtime.cli`: the same as `trunkline`, for child processes that must not depend on the PATH."""

import os

from streams.embedded.process import SUPERVISED, die_with_parent
from streams.runtime.cli import main

if os.environ.get(SUPERVISED):
    die_with_parent()
main()
