public let name = "Parallel of the user"
