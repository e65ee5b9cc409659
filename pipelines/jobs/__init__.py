"""The jobs that move data through the house, each a step that is done again only when it has to be."""
