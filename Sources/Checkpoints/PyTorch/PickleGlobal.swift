import TMPackByteIO
import TMPackTensorKit

/// The names of Python that a pickle asks for. Nothing behind them is ever run: each stands for a few lines in this
/// module, or for a value that is left out.
enum PickleGlobal: Sendable, Hashable {
  /// `OrderedDict`, `dict`, `defaultdict`, …: whose first arguments, if any, are no items.
  case dictionary(otherArguments: Int)
  /// `torch._utils._rebuild_tensor`, `_v2` and `_v3`, by their number.
  case rebuildTensor(version: Int)
  /// `torch._utils._rebuild_parameter` and `_rebuild_parameter_with_state`: the tensor is their first argument.
  case rebuildParameter
  /// `torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`.
  case rebuildFromType
  /// `torch._utils._rebuild_wrapper_subclass(class, dtype, size, …)`: a tensor that is made of others.
  case rebuildWrapper
  /// `torch._utils._rebuild_device_tensor_from_cpu_tensor(tensor, …)`.
  case rebuildFromTensor
  /// Makes a tensor that nothing here can read.
  case unreadableTensor(UnreadableTensor)
  /// `torch.Tensor`, `torch.nn.Parameter`, …: the types that `rebuildFromType` is given.
  case tensorType
  /// A typed storage; nil elements are those that no tensor here has.
  case storage(name: String, DType?)
  case untypedStorage
  case elementType(name: String, DType?)
  case size
  /// Any other class or function: what it makes is an opaque value.
  case opaque(String)
}

extension PickleGlobal {
  /// - Throws: `unsupportedFeature` for what only an attack asks for.
  init(module: String, name: String) throws(StorageError) {
    switch (module, name) {
    case ("collections", "OrderedDict"), ("collections", "Counter"), ("builtins", "dict"), ("__builtin__", "dict"):
      self = .dictionary(otherArguments: 0)
    case ("collections", "defaultdict"): self = .dictionary(otherArguments: 1)
    case ("torch._utils", "_rebuild_tensor"): self = .rebuildTensor(version: 1)
    case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor(version: 2)
    case ("torch._utils", "_rebuild_tensor_v3"): self = .rebuildTensor(version: 3)
    case ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state"):
      self = .rebuildParameter
    case ("torch._utils", "_rebuild_wrapper_subclass"): self = .rebuildWrapper
    case ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): self = .rebuildFromTensor
    case ("torch._utils", _) where name.hasPrefix("_rebuild_"),
      ("torch.nested._internal.nested_tensor", "_rebuild_njt"):
      self = .unreadableTensor(UnreadableTensor(madeBy: String(name.prefix(100)), of: module))
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
      } else {
        self = .opaque(Self.fullName(module, name))
      }
    default:
      let isBuiltIn = module == "builtins" || module == "__builtin__"
      guard !Self.attackingModules.contains(module), !(isBuiltIn && Self.attackingFunctions.contains(name)) else {
        throw StorageError(
          .unsupportedFeature,
          """
          the pickle asks Python to run \(Self.fullName(module, name)), which no model needs; nothing was run here, but \
          torch.load with weights_only=False would: do not trust the file
          """)
      }
      self = .opaque(Self.fullName(module, name))
    }
  }

  private static func fullName(_ module: String, _ name: String) -> String {
    String("\(module).\(name)".debugDescription.dropFirst().dropLast().prefix(200))
  }

  /// Nothing depends on these lists being complete: they are for the warning, as no name is ever called.
  private static let attackingModules: Set<String> = [
    "os", "posix", "nt", "subprocess", "commands", "pty", "socket", "shutil", "ctypes", "runpy", "importlib", "imp",
    "webbrowser", "code", "pip", "asyncio.subprocess",
  ]
  private static let attackingFunctions: Set<String> = [
    "eval", "exec", "execfile", "compile", "open", "file", "__import__", "input", "breakpoint",
  ]

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
    "quint8": unreadable, "qint32": unreadable, "float4_e2m1fn_x2": .f4,
  ]
}
