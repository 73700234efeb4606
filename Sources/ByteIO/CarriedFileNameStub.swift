public enum CarriedFileName { public static func check(_ name: String) throws(StorageError) {} }
