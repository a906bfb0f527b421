"""``python -m archgrad``, which is also what torchrun starts."""

from archgrad.cli import main

main()
