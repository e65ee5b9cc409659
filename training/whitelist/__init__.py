"""The marketing whitelist: who is offered what, why, and who is kept out or held out; every version kept."""
