// swift-tools-version: 6.2
import PackageDescription

// Modules in dependency order. Arrows only go up this list: `Checkpoints` (other people's formats) and
// `ArchiveFormat` (our container) never see each other; they meet at `TensorKit`'s `TensorSource`.
let package = Package(
  name: "tmpack",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "TMPack", targets: ["TMPack"]),
    .executable(name: "tmpack", targets: ["TMPackTool"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .systemLibrary(
      name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .systemLibrary(
      name: "CLAPACKE", pkgConfig: "lapacke",
      providers: [.apt(["liblapacke-dev"]), .brew(["lapack"])]),
    .systemLibrary(
      name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"]), .brew(["openssl"])]),
    .systemLibrary(name: "CSystem"),
    .target(name: "CKernels"),
    .target(name: "CStartup"),

    .target(name: "ByteIO", dependencies: ["CSystem"]),
    .target(name: "Parallel", dependencies: ["CSystem", "ByteIO"]),
    // Apple's systems have CryptoKit.
    .target(
      name: "Digests", dependencies: ["CKernels", .target(name: "CCrypto", condition: .when(platforms: [.linux]))]),
    .target(name: "YAML", dependencies: ["ByteIO"]),
    .target(name: "Zstandard", dependencies: ["CZstd", "CKernels", "ByteIO"]),
    .target(name: "TensorKit", dependencies: ["ByteIO"]),
    .target(
      name: "Factorization",
      dependencies: ["COpenBLAS", "CLAPACKE", "CKernels", "ByteIO", "TensorKit"]),
    .target(name: "Checkpoints", dependencies: ["ByteIO", "Parallel", "Digests", "TensorKit", "Zstandard"]),
    .target(name: "Models", dependencies: ["ByteIO", "TensorKit", "Factorization", "Checkpoints"]),
    .target(name: "ArchiveFormat", dependencies: ["ByteIO", "Parallel", "Digests", "Zstandard", "TensorKit"]),
    .target(
      name: "TMPack",
      dependencies: [
        "ByteIO", "Parallel", "Digests", "TensorKit", "Factorization", "Checkpoints", "Models",
        "ArchiveFormat", "Zstandard", "YAML",
      ]),
    .executableTarget(
      name: "TMPackTool",
      dependencies: [
        "CStartup", "TMPack", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .target(
      name: "TestSupport", dependencies: ["ByteIO", "Checkpoints", "Digests", "TensorKit"], path: "Tests/TestSupport"),
    .executableTarget(
      name: "GoldenGenerator", dependencies: ["TMPack", "TestSupport"], path: "Fixtures/Generator"),
    .target(name: "Timing", path: "Benchmarks/Timing"),
    .executableTarget(name: "lossless-benchmark", dependencies: ["TMPack", "Timing"], path: "Benchmarks/Lossless"),
    .executableTarget(
      name: "codec-benchmark", dependencies: ["TMPack", "Timing", "Zstandard", "Factorization"],
      path: "Benchmarks/Codecs"),
    .executableTarget(
      name: "kernel-benchmark", dependencies: ["TMPack", "Timing", "Factorization", "COpenBLAS"],
      path: "Benchmarks/Kernels"),
    .executableTarget(name: "serving-benchmark", dependencies: ["TMPack", "Timing"], path: "Benchmarks/Serving"),
    .testTarget(name: "ByteIOTests", dependencies: ["ByteIO", "Parallel", "TestSupport"]),
    .testTarget(name: "DigestsTests", dependencies: ["Digests", "TestSupport"]),
    .testTarget(name: "YAMLTests", dependencies: ["ByteIO", "YAML", "TestSupport"]),
    .testTarget(name: "ZstandardTests", dependencies: ["Zstandard", "TestSupport"]),
    .testTarget(
      name: "FactorizationTests",
      dependencies: ["Factorization", "CLAPACKE", "COpenBLAS", "TensorKit", "ByteIO", "Zstandard"]),
    .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "TestSupport"]),
    .testTarget(name: "ModelsTests", dependencies: ["Models", "TestSupport"]),
    .testTarget(name: "ArchiveFormatTests", dependencies: ["ArchiveFormat", "TMPack", "Zstandard", "TestSupport"]),
    .testTarget(name: "TMPackTests", dependencies: ["TMPack", "TestSupport"]),
    .testTarget(name: "ToolTests", dependencies: ["ByteIO", "Digests", "TMPackTool", "TestSupport"]),
  ],
  swiftLanguageModes: [.v6]
)

// `make check` sets this. Only this package's targets are concerned, never those that it depends on.
if Context.environment["TMPACK_STRICT"] != nil {
  for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + [.treatAllWarnings(as: .error)]
    target.cSettings = (target.cSettings ?? []) + [.treatAllWarnings(as: .error)]
  }
}
