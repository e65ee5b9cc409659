"""What goes over the wire: requests and replies of the API, with the examples that its page shows."""
