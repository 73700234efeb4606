// swift-tools-version: 6.2
import PackageDescription

// A package as its user's: it reads archives, and has modules with names that tmpack has too.
let package = Package(
  name: "linking",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "tmpack", path: "../..")],
  targets: [
    .target(name: "YAML"),
    .target(name: "Digests"),
    .target(name: "Parallel"),
    .executableTarget(
      name: "reader",
      dependencies: ["YAML", "Digests", "Parallel", .product(name: "TMPackReading", package: "tmpack")],
      path: "Sources/Reader"),
  ]
)
