from kuscia_hooks.cli import main

main()
