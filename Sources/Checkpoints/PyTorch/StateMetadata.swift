import TMPackByteIO
import TMPackTensorKit

/// `_metadata` of a state_dict: what the classes of its modules note of their layout, the version above all, by which
/// `load_state_dict` takes old ones for what they are.
struct StateMetadata: Sendable {
  enum Value: Sendable {
    case none
    case bool(Bool)
    case integer(Int)
  }

  struct Module: Sendable {
    let name: String
    let members: [(name: String, value: Value)]
  }

  /// In the order of the file.
  let modules: [Module]

  private static let attribute = "_metadata"

  /// nil for a dictionary that has none. What is no number in it is left out.
  init?(of dictionary: PickleValue, in pickle: Pickle) {
    func entries(_ value: PickleValue?) -> [PickleEntry]? {
      guard case .object(let index)? = value, case .dictionary(let members) = pickle.objects[index] else { return nil }
      return members.values
    }
    func text(_ value: PickleValue) -> String? {
      guard case .object(let index) = value, case .string(let text) = pickle.objects[index] else { return nil }
      return text
    }
    guard case .object(let index) = dictionary,
      let own = entries(pickle.attributes[index])?.last(where: { text($0.key) == Self.attribute }),
      let modules = entries(own.value), modules.count <= Limits.pickleTensors
    else { return nil }
    self.modules = modules.compactMap { module in
      guard let name = text(module.key), let members = entries(module.value) else { return nil }
      return Module(
        name: name,
        members: members.compactMap { member in
          guard let name = text(member.key) else { return nil }
          switch member.value {
          case .none: return (name, .none)
          case .bool(let value): return (name, .bool(value))
          case .integer(let value): return value < 0 ? nil : (name, .integer(value))
          case .float, .object: return nil
          }
        })
    }
  }

  /// That of the file that a source is a view of, as long as names are the file's.
  init?(of source: any TensorSource) {
    let inner =
      (source as? any SourceView)?.source ?? (source as? ConvertedSource)?.source ?? (source as? PipelineSource)?.model
    guard let own = (source as? TorchFile)?.stateMetadata ?? inner.flatMap({ StateMetadata(of: $0) }) else {
      return nil
    }
    self = own
  }

  /// Sets it on the dictionary that was written last.
  func write(to pickle: inout PickleWriter) {
    pickle.emptyDictionary()
    pickle.mark()
    pickle.string(Self.attribute)
    pickle.global("collections OrderedDict")
    pickle.emptyTuple()
    pickle.call()
    pickle.mark()
    for module in modules {
      pickle.string(module.name)
      pickle.emptyDictionary()
      pickle.mark()
      for (name, value) in module.members {
        pickle.constant(name)
        switch value {
        case .none: pickle.none()
        case .bool(let value): pickle.bool(value)
        case .integer(let value): pickle.integer(value)
        }
      }
      pickle.setItems()
    }
    pickle.setItems()
    pickle.setItems()
    pickle.build()
  }
}
