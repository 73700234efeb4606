// swift-tools-version: 6.2
import PackageDescription

/// A module of this package: `Sources/NAME`, which other packages see as TMPackNAME, so that it stands beside modules of theirs.
func module(_ name: String, _ dependencies: [String] = [], c: [String] = []) -> Target {
  .target(
    name: "TMPack\(name)", dependencies: (dependencies + c).map { .target(name: "TMPack\($0)") },
    path: "Sources/\(name)")
}

/// The headers of a system library.
func library(_ name: String, pkgConfig: String, apt: String, brew: String) -> Target {
  .systemLibrary(
    name: "TMPack\(name)", path: "Sources/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt]), .brew([brew])])
}

func tests(_ name: String, _ dependencies: [String], others: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: dependencies.map { .target(name: "TMPack\($0)") } + ["TestSupport"] + others)
}

func benchmark(_ name: String, _ folder: String, _ dependencies: [String]) -> Target {
  .executableTarget(
    name: "\(name)-benchmark", dependencies: dependencies.map { .target(name: "TMPack\($0)") } + ["Timing"],
    path: "Benchmarks/\(folder)")
}

let reading = [
  "ByteIO", "JSON", "Parallel", "Digests", "Zstandard", "TensorKit", "Factors", "Checkpoints", "ArchiveFormat",
  "Models", "Reading",
]
let writing = [
  "LlamaCpp", "Factorization", "YAML", "Merging", "Journal", "Packing", "Sharing", "Planning", "RouterTraining",
  "AdapterExport",
]

// Modules in dependency order: arrows only go up this list. ARCHITECTURE.md draws them and says what each is for.
let package = Package(
  name: "tmpack",
  platforms: [.macOS(.v15)],
  products: [
    // Opening, verifying, rebuilding, routing: needs libzstd, zlib and libcrypto.
    .library(name: "TMPackReading", targets: ["TMPackReading"]),
    // The same for C, include/tmpack.h: scripts/build-library makes it libtmpack.so, which needs no Swift.
    .library(name: "tmpack-c", type: .dynamic, targets: ["TMPackCInterface"]),
    // And packing, merging, training: needs OpenBLAS and LAPACKE too.
    .library(name: "TMPack", targets: ["TMPack"]),
    .executable(name: "tmpack", targets: ["TMPackTool"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    library("CZstd", pkgConfig: "libzstd", apt: "libzstd-dev", brew: "zstd"),
    library("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev", brew: "zlib"),
    library("COpenBLAS", pkgConfig: "openblas", apt: "libopenblas-dev", brew: "openblas"),
    library("CLAPACKE", pkgConfig: "lapacke", apt: "liblapacke-dev", brew: "lapack"),
    library("CCrypto", pkgConfig: "libcrypto", apt: "libssl-dev", brew: "openssl"),
    .systemLibrary(name: "TMPackCSystem", path: "Sources/CSystem"),
    .systemLibrary(name: "TMPackCHeader", path: "Sources/CHeader"),
    module("CKernels"),
    module("CStartup"),

    module("ByteIO", c: ["CSystem"]),
    module("JSON", ["ByteIO"]),
    module("Parallel", ["ByteIO"], c: ["CSystem"]),
    // Apple's systems have CryptoKit.
    .target(
      name: "TMPackDigests",
      dependencies: [
        "TMPackByteIO", "TMPackParallel", "TMPackCKernels",
        .target(name: "TMPackCCrypto", condition: .when(platforms: [.linux])),
      ],
      path: "Sources/Digests"),
    module("YAML", ["ByteIO"]),
    module("Zstandard", ["ByteIO"], c: ["CZstd", "CKernels"]),
    module("TensorKit", ["ByteIO"], c: ["CKernels"]),
    module("Factors", ["ByteIO", "TensorKit"], c: ["CKernels"]),
    module(
      "Checkpoints", ["ByteIO", "JSON", "Parallel", "Digests", "Zstandard", "TensorKit"], c: ["CKernels", "CZlib"]),
    module("ArchiveFormat", ["ByteIO", "JSON", "Parallel", "Digests", "Zstandard", "TensorKit"]),
    module("Models", ["ByteIO", "JSON", "TensorKit", "Factors", "Checkpoints"]),
    module("LlamaCpp", ["ByteIO", "JSON", "TensorKit", "Checkpoints", "Models"]),
    module("Reading", Array(reading.dropLast())),
    module("CInterface", reading, c: ["CHeader"]),

    module("Factorization", ["ByteIO", "TensorKit", "Factors"], c: ["COpenBLAS", "CLAPACKE", "CKernels"]),
    module(
      "Merging",
      [
        "ByteIO", "JSON", "Parallel", "YAML", "TensorKit", "Factors", "Factorization", "Checkpoints", "ArchiveFormat",
        "Models",
      ], c: ["CKernels"]),
    module("Journal", ["ByteIO", "JSON", "Parallel", "Digests", "TensorKit"]),
    module("Packing", reading + ["Factorization", "Merging", "Journal"]),
    module("Sharing", reading + ["Merging", "Journal", "Factorization", "Packing"]),
    module("Planning", reading + ["Factorization", "Merging", "Packing"]),
    module("RouterTraining", ["ByteIO", "JSON", "Parallel", "TensorKit", "ArchiveFormat", "Reading", "Factorization"]),
    module(
      "AdapterExport",
      [
        "ByteIO", "JSON", "Parallel", "TensorKit", "Factors", "Checkpoints", "Models", "LlamaCpp", "Reading",
        "Factorization", "Packing",
      ]),
    .target(name: "TMPack", dependencies: (reading + writing).map { .target(name: "TMPack\($0)") }),
    .executableTarget(
      name: "TMPackTool",
      dependencies: ["TMPackCStartup", "TMPack", .product(name: "ArgumentParser", package: "swift-argument-parser")]
        + (reading + writing).map { .target(name: "TMPack\($0)") }),

    .target(
      name: "TestSupport",
      dependencies: ["ByteIO", "JSON", "Checkpoints", "Digests", "TensorKit"].map { .target(name: "TMPack\($0)") },
      path: "Tests/TestSupport"),
    .target(
      name: "ArchiveSupport",
      dependencies: (reading + writing).map { .target(name: "TMPack\($0)") } + ["TestSupport"],
      path: "Tests/ArchiveSupport"),
    .executableTarget(
      name: "GoldenGenerator", dependencies: (reading + writing).map { .target(name: "TMPack\($0)") } + ["TestSupport"],
      path: "Fixtures/Generator"),
    // Readers as functions of bytes: what `make fuzz` calls, and the tests with what it has found.
    .target(
      name: "FuzzTargets",
      dependencies: (reading + ["LlamaCpp", "YAML", "Merging", "Journal"]).map { .target(name: "TMPack\($0)") },
      path: "Tests/Fuzz/Targets"),
    .target(name: "Timing", path: "Benchmarks/Timing"),
    benchmark("lossless", "Lossless", reading + writing),
    benchmark("codec", "Codecs", reading + writing),
    benchmark("kernel", "Kernels", reading + writing + ["COpenBLAS"]),
    benchmark("serving", "Serving", reading + writing),
    .testTarget(name: "ArchitectureTests", dependencies: ["TMPackByteIO", "TestSupport"]),
    // Imports what a user of the library does, and nothing else.
    tests("Library", reading + writing, others: ["TMPack"]),
    tests("ByteIO", ["ByteIO"]),
    tests("JSON", ["ByteIO", "JSON"]),
    tests("Parallel", ["ByteIO", "Parallel"]),
    tests("TensorKit", ["ByteIO", "TensorKit"]),
    tests("Digests", ["ByteIO", "Parallel", "Digests"]),
    tests("YAML", ["ByteIO", "JSON", "YAML"]),
    tests("Zstandard", ["Zstandard", "ByteIO"]),
    tests("Factorization", ["Factors", "Factorization", "CLAPACKE", "COpenBLAS", "TensorKit", "ByteIO", "Zstandard"]),
    .testTarget(name: "KernelTests", dependencies: ["TMPackCKernels", "TMPackTensorKit"]),
    tests("Checkpoints", ["Checkpoints", "ByteIO", "JSON", "Digests", "TensorKit", "Parallel"]),
    tests("Models", ["Models", "Checkpoints", "ByteIO", "JSON", "Digests", "TensorKit", "Factors"]),
    tests("LlamaCpp", ["LlamaCpp", "Checkpoints", "ByteIO", "JSON", "TensorKit"]),
    tests("ArchiveFormat", reading + writing),
    tests("Reading", reading + writing, others: ["ArchiveSupport"]),
    tests("RouterTraining", reading + writing, others: ["ArchiveSupport"]),
    tests("Merging", reading + writing),
    tests("Packing", reading + writing, others: ["ArchiveSupport"]),
    tests("Sharing", reading + writing, others: ["ArchiveSupport"]),
    tests("Planning", reading + writing),
    tests("AdapterExport", reading + writing, others: ["ArchiveSupport"]),
    tests("CInterface", reading + ["CInterface", "CHeader"]),
    tests("Fuzz", ["ByteIO"], others: ["FuzzTargets"]),
    tests("Tool", reading + writing, others: ["TMPackTool", "TMPack"]),
  ],
  swiftLanguageModes: [.v6]
)

// `make fuzz` sets this: libFuzzer comes with the compiler's sanitizers only.
if Context.environment["TMPACK_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(name: "Fuzz", dependencies: ["FuzzTargets", "TMPackByteIO"], path: "Tests/Fuzz/Driver"))
}

// `make check` sets this. Only this package's targets are concerned, never those that it depends on.
if Context.environment["TMPACK_STRICT"] != nil {
  for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + [.treatAllWarnings(as: .error)]
    target.cSettings = (target.cSettings ?? []) + [.treatAllWarnings(as: .error)]
  }
}
