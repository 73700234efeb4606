/// An output that is being written under another name, and gets its own when it is whole.
package protocol StagedOutput: AnyObject {
  /// Where it will appear.
  var path: String { get }

  /// Makes the content durable: all that can fail for want of space, or of a disk.
  func settle() throws(StorageError)

  /// Gives it its name.
  ///
  /// - Parameter keepingOld: whether `withdraw` must be able to bring back what it takes the place of.
  func appear(keepingOld: Bool) throws(StorageError)

  /// Takes the name back, after `appear`.
  func withdraw()

  /// Drops what it has replaced. Nothing of it may fail the work any more.
  func finish()
}

extension StagedOutput {
  /// Makes it appear under its name, durably.
  package func commit() throws(StorageError) { try commitTogether([self]) }
}

/// Makes several outputs appear, or none of them. A kill between two renames is all that can leave some.
package func commitTogether(_ outputs: [any StagedOutput]) throws(StorageError) {
  for output in outputs { try output.settle() }
  try UnfinishedOutputs.uninterrupted { () throws(StorageError) in
    var appeared: [any StagedOutput] = []
    do throws(StorageError) {
      for output in outputs {
        try output.appear(keepingOld: outputs.count > 1)
        appeared.append(output)
      }
    } catch {
      for output in appeared.reversed() { output.withdraw() }
      throw error
    }
  }
  for output in outputs { output.finish() }
}
