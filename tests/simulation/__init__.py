"""Members of a group around the real engine, with everything between them simulated."""
