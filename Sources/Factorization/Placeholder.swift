enum PlaceholderFactorization {}
