import TMPackByteIO
import TMPackTensorKit

/// How the numbers of one weight come from its codes: w = (value(code) − zero) · scale, in binary32, rounded once to the
/// weight's dtype; where there are offsets, one is added to that and the sum rounded again, as MLX does it. A column is multiplied
/// by its input's scale, where inputs have any (`pre_quant_scale` of ModelOpt).
///
/// Every scheme is this with its own packing, values, and places of scales; each has a file that says which
/// (`Schemes/`).
struct WeightDecoder: Sendable {
  /// The weight as numbers.
  let info: TensorInfo
  let packing: CodePacking
  /// What each code stands for.
  let values: [Float]
  let scales: ScalePlacement
  /// Whether the numbers of the last two dimensions are stored the other way round.
  var isTransposed = false
  /// Reads the scales, and what goes with them, of one weight.
  let steps: @Sendable (CodedBytes) throws(StorageError) -> QuantizationSteps

  /// Rows of codes and codes in each.
  var rows: Int { info.shape.elementCount == 0 ? 0 : info.shape.elementCount / columns }
  var columns: Int {
    info.shape.dimensions.isEmpty ? 1 : info.shape.dimensions[info.shape.dimensions.count - (isTransposed ? 2 : 1)]
  }

  /// Rows of codes whose numbers lie together: of transposed ones those of a matrix.
  private var unitRows: Int { isTransposed ? info.shape.dimensions.last! : 1 }
  /// Bytes of their numbers.
  var unitBytes: Int { unitRows * columns * (info.dtype.bitWidth / 8) }

  /// Fills `destination` with the weight's numbers.
  ///
  /// Memory: the scales in binary32 and a row, and the codes where they are not mapped.
  /// - Throws: `malformed` where the tensors do not fit each other.
  func decode(_ bytes: CodedBytes, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    guard rows > 0 else { return }
    try prepared(bytes)(0..<rows / unitRows, destination)
  }

  /// What fills memory with the numbers of some units: see `unitBytes`.
  ///
  /// Memory: the scales in binary32, as long as it is kept; then a row, and the units' codes where those of a row lie together. Else
  /// all codes, as long.
  /// - Throws: `malformed` where the tensors do not fit each other.
  func prepared(
    _ bytes: CodedBytes
  ) throws(StorageError) -> @Sendable (Range<Int>, UnsafeMutableRawBufferPointer) throws(StorageError) -> Void {
    guard let format = info.dtype.floatFormat else { preconditionFailure("numbers are of a float dtype") }
    let steps = try steps(bytes)
    let group = try scales.groups(columns: columns, steps)
    let inputScales = try bytes.numbers(.inputScale)
    guard inputScales.isEmpty || inputScales.count == columns else { throw bytes.weight.mismatch(.inputScale) }
    guard bytes.codes.count >= packing.byteCount(rows: rows, columns: columns) else {
      throw StorageError(.malformed, "has too few codes for \(info.shape)", tensor: bytes.weight.codes.name)
    }
    let isByRows = packing.bytesPerRow != nil
    let codes = isByRows ? bytes.codes : OpenTensor(try bytes.codes.bytes())
    let (decoder, unitRows) = (self, unitRows)
    return { units, destination throws(StorageError) in
      let rows = units.lowerBound * unitRows..<units.upperBound * unitRows
      let place = decoder.packing.bytesPerRow.map { rows.lowerBound * $0..<rows.upperBound * $0 } ?? 0..<codes.count
      try codes.withBytes(place) { raw in
        decoder.decode(
          rows, raw, from: isByRows ? rows.lowerBound : 0, steps, group, inputScales, format, into: destination)
      }
    }
  }

  /// - Parameter first: the row that the codes begin with.
  private func decode(
    _ rows: Range<Int>, _ raw: UnsafeRawBufferPointer, from first: Int, _ steps: QuantizationSteps,
    _ group: ScalePlacement.Groups, _ inputScales: [Float], _ format: FloatFormat,
    into destination: UnsafeMutableRawBufferPointer
  ) {
    let columns = columns
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: columns) { codes in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { numbers in
        for row in rows {
          packing.read(row: row - first, of: raw, into: codes)
          let first = scales.first(ofRow: row, columns: columns)
          for column in 0..<columns {
            let place = first + group.place(column, row: row, columns: columns)
            var number = values[Int(codes[column])]
            if !steps.zeros.isEmpty { number -= steps.zeros[place] }
            number *= steps.scales[place]
            if let factor = steps.factor { number *= factor }
            if !steps.offsets.isEmpty { number = format.rounded(number) + steps.offsets[place] }
            numbers[column] = number
          }
          for (column, scale) in inputScales.enumerated() { numbers[column] *= scale }
          store(UnsafeBufferPointer(numbers), row: row - rows.lowerBound, format, into: destination)
        }
      }
    }
  }

  /// - Parameter row: counted from the first whose numbers are in `destination`.
  private func store(
    _ numbers: UnsafeBufferPointer<Float>, row: Int, _ format: FloatFormat,
    into destination: UnsafeMutableRawBufferPointer
  ) {
    let width = format.byteWidth
    guard isTransposed else {
      let range = row * numbers.count * width..<(row + 1) * numbers.count * width
      return format.round(numbers, into: UnsafeMutableRawBufferPointer(rebasing: destination[range]))
    }
    // The row is a column of its matrix.
    let outputs = info.shape.dimensions.last!
    let (matrix, output) = row.quotientAndRemainder(dividingBy: outputs)
    for (input, _) in numbers.enumerated() {
      let place = ((matrix * numbers.count + input) * outputs + output) * width
      format.round(
        UnsafeBufferPointer(rebasing: numbers[input...input]),
        into: UnsafeMutableRawBufferPointer(rebasing: destination[place..<place + width]))
    }
  }
}

/// What codes are multiplied by and shifted by, a number for each group of them.
struct QuantizationSteps: Sendable {
  var scales: [Float]
  /// Taken from the value of a code before it is scaled; none where they are all 0.
  var zeros: [Float] = []
  /// What a scaled number is multiplied by, once more; nil for 1.
  var factor: Float?
  /// Added after; likewise.
  var offsets: [Float] = []
  /// The group of each column, where columns are not in the order of their groups.
  var groupIndex: [Int] = []
}

/// Which scale belongs to a number.
enum ScalePlacement: Sendable, Hashable {
  /// One for all.
  case whole
  /// A grid for each matrix: one for `rows` by `columns` numbers, the last ones of fewer.
  case grid(rows: Int, columns: Int, matrixRows: Int, gridRows: Int, gridColumns: Int)
  /// [groups, outputs]: rows of numbers are columns of the scales.
  case columns(groupSize: Int, groups: Int, outputs: Int)
  /// One for each run of so many numbers of the tensor.
  case runs(Int)

  /// Where the scales of a row begin.
  func first(ofRow row: Int, columns _: Int) -> Int {
    switch self {
    case .whole, .runs: 0
    case .grid(let rows, _, let matrixRows, let gridRows, let gridColumns):
      (row / matrixRows * gridRows + row % matrixRows / rows) * gridColumns
    case .columns: row
    }
  }

  /// How many scales there are for so many numbers.
  func count(rows: Int, columns: Int) -> Int {
    switch self {
    case .whole: 1
    case .grid(_, _, let matrixRows, let gridRows, let gridColumns): rows / matrixRows * gridRows * gridColumns
    case .columns(_, let groups, let outputs): groups * outputs
    case .runs(let length): (rows * columns + length - 1) / length
    }
  }

  /// From a column to its scale, counted from the row's first.
  enum Groups: Sendable {
    case one
    case runs(Int)
    case table([Int])

    func place(_ column: Int, row: Int, columns: Int) -> Int {
      switch self {
      case .one: 0
      case .runs(let length): (row * columns + column) / length
      case .table(let table): table[column]
      }
    }
  }

  /// - Throws: `malformed` for a group index that is out of bounds.
  func groups(columns: Int, _ steps: QuantizationSteps) throws(StorageError) -> Groups {
    func table(size: Int, count: Int, step: Int) throws(StorageError) -> Groups {
      guard !steps.groupIndex.isEmpty else { return .table((0..<columns).map { $0 / size * step }) }
      guard steps.groupIndex.count == columns, steps.groupIndex.allSatisfy({ (0..<count).contains($0) }) else {
        throw StorageError(
          .malformed, "its group index does not name one of \(count) groups for each of \(columns) inputs")
      }
      return .table(steps.groupIndex.map { $0 * step })
    }
    switch self {
    case .whole: return .one
    case .runs(let length): return .runs(length)
    case .grid(_, let size, _, _, let count): return try table(size: size, count: count, step: 1)
    case .columns(let size, let groups, let outputs): return try table(size: size, count: groups, step: outputs)
    }
  }
}

extension FloatFormat {
  /// The nearest number of this format.
  fileprivate func rounded(_ value: Float) -> Float {
    switch self {
    case .f64, .f32: value
    case .f16: Half.float(bits: Half.bits(value))
    case .bf16: BFloat16.float(bits: BFloat16.bits(value))
    }
  }
}
