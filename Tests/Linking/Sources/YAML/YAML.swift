public let name = "YAML of the user"
