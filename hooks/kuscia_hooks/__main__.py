"""Run the command as `python -m kuscia_hooks`."""

from kuscia_hooks.cli import main

main(prog_name="kuscia-hooks")
