import TMPackParallel

/// A number of the caller's that another thread may set to something else than 0.
struct Cancellation: @unchecked Sendable {
  private let flag: UnsafePointer<Int32>?

  init(_ flag: UnsafePointer<Int32>?) { self.flag = flag }

  /// Any read that sees the change sooner or later will do.
  var isAskedFor: Bool { flag.map { $0.pointee != 0 } ?? false }
}

extension OrderedPipeline {
  func cancelled(by cancellation: Cancellation) -> OrderedPipeline {
    stopping { cancellation.isAskedFor }
  }
}
