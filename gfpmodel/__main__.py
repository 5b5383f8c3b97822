"""Run the command line as ``python -m gfpmodel``."""

import sys

if __name__ == "__main__":
    try:
        from gfpmodel.cli import main
    except KeyboardInterrupt:  # before the command line is there to say so
        sys.exit(130)
    main()
