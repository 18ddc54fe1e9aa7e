"""From rows to answers: catalog, loading, the engine that every front end enters. No Flask, no payload schemas."""
