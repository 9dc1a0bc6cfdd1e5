"""Settings: this package's own TOML, and readers of other systems' files, one room for each."""
