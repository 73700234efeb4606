import TMPackCKernels

/// What the processor can do, for `tmpack doctor`.
package enum CPU {
  /// Vector extensions that the processor and the operating system support, such as `avx512f` or `neon`.
  package static let features: [String] = String(cString: tmpack_cpu_features()).split(separator: " ").map(String.init)
}

/// The variants of the decoding kernels. All give the same bits; the later ones are faster.
package enum InstructionSet: Sendable, CaseIterable {
  case portable, avx2, avx512

  /// Those that this machine can run; never empty.
  package static let available: [InstructionSet] = allCases.filter { tmpack_isa_is_available($0.code) }

  /// What is used unless a test asks for another.
  package static let best: InstructionSet = available.last!

  package var code: tmpack_isa {
    switch self {
    case .portable: TMPACK_ISA_PORTABLE
    case .avx2: TMPACK_ISA_AVX2
    case .avx512: TMPACK_ISA_AVX512
    }
  }
}
