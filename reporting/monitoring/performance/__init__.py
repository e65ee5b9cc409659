"""How good the answers were, or will have been: outcomes come a year late, and early signs before them."""
