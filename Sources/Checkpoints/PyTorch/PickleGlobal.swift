import ByteIO
import TensorKit

/// The only names of Python that a pickle may ask for. Nothing behind them is ever run: each stands for a few lines
/// in this module, or for a value that is left out.
enum PickleGlobal: Sendable, Hashable {
  case orderedDictionary
  /// `torch._utils._rebuild_tensor`, `_v2` and `_v3`, by their number.
  case rebuildTensor(version: Int)
  /// `torch._utils._rebuild_parameter` and `_rebuild_parameter_with_state`: the tensor is their first argument.
  case rebuildParameter
  /// `torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`.
  case rebuildFromType
  /// `torch.Tensor`, `torch.nn.Parameter`, …: the types that `rebuildFromType` is given.
  case tensorType
  /// A typed storage; nil elements are those that no tensor here has.
  case storage(name: String, DType?)
  case untypedStorage
  case elementType(name: String, DType?)
  case size
  /// Makes a value that holds no tensor: a number of NumPy, a path, a set.
  case inert(String)
}

extension PickleGlobal {
  /// - Throws: `unsupportedFeature`, naming whatever is not on the list.
  init(module: String, name: String) throws(StorageError) {
    switch (module, name) {
    case ("collections", "OrderedDict"): self = .orderedDictionary
    case ("torch._utils", "_rebuild_tensor"): self = .rebuildTensor(version: 1)
    case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor(version: 2)
    case ("torch._utils", "_rebuild_tensor_v3"): self = .rebuildTensor(version: 3)
    case ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state"):
      self = .rebuildParameter
    case ("torch._tensor", "_rebuild_from_type_v2"): self = .rebuildFromType
    case ("torch", "Tensor"), ("torch.nn.parameter", "Parameter"), ("torch.nn.parameter", "Buffer"):
      self = .tensorType
    case ("torch", "Size"): self = .size
    case ("torch.storage", "UntypedStorage"), ("torch", "UntypedStorage"): self = .untypedStorage
    case ("torch", _), ("torch.storage", _), ("torch.cuda", _):
      if let dtype = Self.storages[name] {
        self = .storage(name: name, dtype)
      } else if module == "torch", let dtype = Self.elementTypes[name] {
        self = .elementType(name: name, dtype)
      } else if module == "torch", name == "device" {
        self = .inert("torch.device")
      } else {
        throw Self.refusal(module, name)
      }
    default:
      guard Self.inertNames.contains("\(module).\(name)") else { throw Self.refusal(module, name) }
      self = .inert("\(module).\(name)")
    }
  }

  private static func refusal(_ module: String, _ name: String) -> StorageError {
    let full = "\(module).\(name)".debugDescription.dropFirst().dropLast().prefix(200)
    return StorageError(
      .unsupportedFeature,
      "the pickle asks Python for \(full), which is not on the list of what a file of tensors needs; save a state_dict")
  }

  /// Known, but no tensor here has such elements.
  private static let unreadable: DType? = nil

  /// By the names of `torch`'s storages.
  static let storages: [String: DType?] = [
    "DoubleStorage": .f64, "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16, "LongStorage": .i64,
    "IntStorage": .i32, "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8, "BoolStorage": .bool,
    "ComplexFloatStorage": .c64, "ComplexDoubleStorage": unreadable, "QInt8Storage": unreadable,
    "QUInt8Storage": unreadable, "QInt32Storage": unreadable, "QUInt4x2Storage": unreadable,
    "QUInt2x4Storage": unreadable,
  ]

  /// By the names of `torch`'s dtypes.
  static let elementTypes: [String: DType?] = [
    "float64": .f64, "float32": .f32, "float16": .f16, "bfloat16": .bf16, "int64": .i64, "int32": .i32, "int16": .i16,
    "int8": .i8, "uint8": .u8, "uint16": .u16, "uint32": .u32, "uint64": .u64, "bool": .bool, "complex64": .c64,
    "float8_e4m3fn": .f8e4m3, "float8_e5m2": .f8e5m2, "float8_e4m3fnuz": .f8e4m3fnuz, "float8_e5m2fnuz": .f8e5m2fnuz,
    "float8_e8m0fnu": .f8e8m0, "complex128": unreadable, "complex32": unreadable, "qint8": unreadable,
    "quint8": unreadable, "qint32": unreadable, "float4_e2m1fn_x2": unreadable,
  ]

  /// What training loops put beside the tensors.
  private static let inertNames: Set<String> = [
    "argparse.Namespace", "collections.Counter", "collections.defaultdict", "_codecs.encode", "numpy.dtype",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "builtins.set", "builtins.frozenset",
    "builtins.complex", "builtins.slice", "builtins.range", "builtins.bytearray", "builtins.dict", "builtins.list",
    "builtins.int", "builtins.float", "builtins.str", "__builtin__.set", "__builtin__.frozenset", "__builtin__.complex",
    "__builtin__.dict", "__builtin__.list", "__builtin__.int", "__builtin__.float", "__builtin__.str",
    "pathlib.PosixPath", "pathlib.WindowsPath", "torch.torch_version.TorchVersion", "datetime.datetime",
    "datetime.timedelta",
  ]
}
