"""`python -m copier_polar`."""

from copier_polar.cli import main

if __name__ == "__main__":
    main()
