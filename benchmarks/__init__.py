"""The comparison: the same models served by Plumbline and by other stacks, measured side by side."""
