"""Every HTTP route, and the scorer behind them."""
