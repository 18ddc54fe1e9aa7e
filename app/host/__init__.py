"""The processes of one machine: which workers live, and whether a version loads without harm.

No routing comes in.
"""
