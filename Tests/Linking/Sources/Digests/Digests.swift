public let name = "Digests of the user"
