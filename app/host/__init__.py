"""The processes of this machine: which workers live, and what a version does in a process that may die. No routing comes in."""
