import ByteIO
import Factorization
import TensorKit

/// How the exclusive vector of a tensor is approximated.
public enum FactorEncoder: Sendable, Hashable {
  /// Factors of a set form, as in the papers.
  case fixed(FactorPlan)
  /// Coarse, entropy-coded factors, as the packer's rate control decides.
  case controlled
}

/// Makes the factor of a vector that is finite and not zero; nil when it is better left out. Deterministic.
typealias FactorMaker = @Sendable (borrowing ExclusiveVector, Shape) throws(StorageError) -> Factor?
