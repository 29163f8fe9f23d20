"""What scripts print: kept while they run (joblog), afterwards (segments), and shown in order (viewer, replay)."""
