"""Tables: where their bytes come from and where they are stored."""
