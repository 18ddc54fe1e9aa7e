"""Where a request goes and what answers it: the one door for every front end. No HTTP comes in."""
