import TMPackByteIO

/// The error that `body` throws; nil when it throws none.
package func failure(of body: () throws -> Void) -> StorageError? {
  do { try body() } catch { return error as? StorageError }
  return nil
}

package func code(of body: () throws -> Void) -> StorageError.Code? { failure(of: body)?.code }
