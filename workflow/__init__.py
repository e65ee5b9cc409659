"""What happens to an application: decide, contract, fund, book, service, collect. Empty so far."""
