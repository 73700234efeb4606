import FuzzTargets
import TMPackByteIO

/// libFuzzer on one of the targets: `fuzz TARGET [libFuzzer's arguments]`; `fuzz --list` says which there are.
@main struct Fuzz {
  nonisolated(unsafe) static var target: FuzzTarget?

  static func main() {
    let arguments = CommandLine.arguments
    if arguments.dropFirst().first == "--list" {
      for target in FuzzTarget.all { print(target.name, target.longest, target.seeds.joined(separator: " ")) }
      return
    }
    guard arguments.count > 1, let chosen = FuzzTarget.all.first(where: { $0.name == arguments[1] }) else {
      print("fuzz TARGET [ARGUMENTS OF LIBFUZZER]; fuzz --list")
      return
    }
    target = chosen
    // Without the target's name.
    var count = CommandLine.argc - 1
    var rest: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv + 1
    CommandLine.unsafeArgv[1] = CommandLine.unsafeArgv[0]
    _ = runDriver(&count, &rest) { bytes, count in
      do throws(StorageError) {
        try Fuzz.target!.read(Array(UnsafeBufferPointer(start: bytes, count: count)))
      } catch {
        // As it must.
      }
      return 0
    }
  }
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32
