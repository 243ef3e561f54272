"""`python -m streams.runtime.cli`: the same as `trunkline`, for child processes that must not depend on the PATH."""

from streams.runtime.cli import main

main()
