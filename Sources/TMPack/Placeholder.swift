enum PlaceholderTMPack {}
