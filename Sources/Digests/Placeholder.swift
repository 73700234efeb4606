enum PlaceholderDigests {}
