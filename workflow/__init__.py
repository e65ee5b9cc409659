"""What happens to an application: decide, contract, fund, book, service, collect. So far, pre-credit."""
