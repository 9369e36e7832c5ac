"""What is scheduled: written down (edits), foreseen (foresee), run (runs), and said in words (words)."""
