"""The engine that routes and answers the requests of every front end. HTTP stays outside."""
