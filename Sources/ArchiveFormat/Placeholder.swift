enum PlaceholderArchiveFormat {}
