/// Where the machine of a trellis stands: which grid the next integer is from (TMP-10-9).
///
/// The grids are the even integers, and the odd ones with 0. The parity of a symbol decides the next state, so the symbols
/// of a whole component are chosen together: trellis-coded quantisation (Marcellin and Fischer, IEEE Transactions on
/// Communications 38, 1990) with the union of the grids entropy-coded, as in the “dependent quantization” of H.266.
struct TrellisState: Equatable {
  package static let count = 8
  /// Four bits for each state and parity, from the lowest: 0 2, 5 7, 1 3, 6 4, 2 0, 4 6, 3 1, 7 5.
  private static let successors: UInt64 = 0x5713_6402_4631_7520
  /// Four bits for each of the two ways into a state: twice the state that it comes from, and the parity.
  private static let predecessors: UInt64 = 0xE3B6_F2A7_C581_D490

  package private(set) var index = 0

  init() {}

  init(index: Int) { self.index = index }

  /// 0 for the even integers, 1 for the odd ones and 0.
  @inline(__always) var grid: Int { index & 1 }

  /// The magnitude of the integer of a symbol of this magnitude.
  @inline(__always)
  package func size(of magnitude: Int) -> Int { magnitude == 0 ? 0 : 2 * magnitude - grid }

  /// The magnitude of the symbol of an integer of this magnitude, which is on the grid.
  @inline(__always)
  package func magnitude(of size: Int) -> Int { (size + grid) >> 1 }

  @inline(__always)
  package mutating func advance(_ magnitude: Int) {
    index = Int(truncatingIfNeeded: Self.successors >> UInt64(truncatingIfNeeded: 8 * index + 4 * (magnitude & 1)) & 7)
  }

  /// One of the two ways into this state.
  @inline(__always)
  func origin(choice: Int) -> (state: TrellisState, parity: Int) {
    let way = Int(truncatingIfNeeded: Self.predecessors >> UInt64(truncatingIfNeeded: 8 * index + 4 * choice) & 15)
    return (TrellisState(index: way >> 1), way & 1)
  }
}
