"""ScoreHOI's experiments: training of both stages."""
