"""`python -m holdfast`: the command line, by the very interpreter that was asked."""

from holdfast.cli.main import main

if __name__ == "__main__":
    main()
