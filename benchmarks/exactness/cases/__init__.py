"""One module for each claim; `show(stage, scale)` shows it. `scale` 1 is the full size."""
