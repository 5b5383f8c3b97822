"""Run the command line as ``python -m gfpmodel``."""

from gfpmodel.cli import main

if __name__ == "__main__":
    main()
