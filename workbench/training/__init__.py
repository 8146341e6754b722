"""Where all parts meet: trainer, runs, experiments, jobs."""
