"""The steps of charts/kuscia: they make a Kuscia cluster work without a shell session in any pod."""
