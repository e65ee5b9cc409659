"""What models in service see and answer, held against what they were trained on and what came of it."""
