import ArgumentParser
import TMPackByteIO
import TMPackReading

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@main
struct Tool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tmpack",
    abstract: "Stores fine-tuned models as one shared model and a compact difference for each expert.",
    discussion: """
      Example:
        tmpack pack --base base/ --expert math=m/ --expert code=c/ -o zoo.tmpack
        tmpack unpack zoo.tmpack --weights math=0.7,code=0.3 -o mix/

      Completions for your shell: tmpack completions bash, zsh or fish. All options, the rare ones too: COMMAND --help-all.

      Exit codes: 0 ok, 1 usage, 2 corrupt, malformed or not signed, 3 unsupported, 4 input/output, 5 limit exceeded, 6 the \
      output is written, and something failed afterwards, 129, 130 and 143 interrupted. After 4 and above 128 the same \
      command may succeed later; after the others it will not.
      """,
    version: TMPackVersion.tool,
    subcommands: [
      Pack.self, Base.self, Plan.self, Run.self, Join.self, Unpack.self, Inspect.self, Verify.self, Digest.self,
      Sign.self,
      RepairCommand.self,
      Compare.self, Report.self, Convert.self,
      Merge.self, Export.self, Add.self, Remove.self, Strip.self, RouterCommand.self, Route.self, Doctor.self,
      Completions.self, Manual.self, Version.self,
    ])

  /// Runs the tool; unlike ArgumentParser's own `main`, with this tool's exit codes and errors in JSON on request.
  static func main() {
    Console.occupyClosedDescriptors()
    OpenFiles.raiseLimit()
    Interrupts.install()
    MissingFolders.make()
    let arguments = Arguments.spread(Arguments.all)
    let wantsJSON = arguments.contains("--json")
    MappedInputs.endProcessOnFault { error in
      guard let note = asNote(error) else {
        Console.report(error, asJSON: wantsJSON)
        _exit(error.code.family.exitCode)
      }
      Console.report(note, asJSON: wantsJSON, exit: Console.doneButCode)
      _exit(Console.doneButCode)
    }
    do {
      try Resources.prepareAddressSpace()
      var command = try parseAsRoot(arguments)
      try command.run()
    } catch let error as StorageError {
      guard let note = asNote(error) else {
        MissingFolders.removeEmpty()
        Console.report(error, asJSON: wantsJSON)
        Console.exit(error.code.family.exitCode)
      }
      CommitNotes.add(note)
    } catch let code as ExitCode {
      // The command has said already what is wrong.
      Console.exit(code.rawValue)
    } catch  where exitCode(for: error).isSuccess {
      // Help and the version arrive here, as "errors" of exit code 0.
      Console.result(fullMessage(for: error))
    } catch {
      if let meant = Arguments.meant(arguments) {
        Console.report(StorageError(.invalidArgument, meant), asJSON: wantsJSON)
      } else if let misspelt = try? CommandNames(of: Tool.self).misspelling(in: arguments) {
        Console.report(misspelt, asJSON: wantsJSON)
      } else if wantsJSON {
        Console.report(StorageError(.invalidArgument, message(for: error)), asJSON: true)
      } else {
        let text = fullMessage(for: error)
        // As all other errors begin.
        Console.talk(text.hasPrefix("Error: ") ? "tmpack: " + text.dropFirst(7) : text)
      }
      Console.exit(StorageError.Family.usage.exitCode)
    }
    let notes = CommitNotes.take()
    for note in notes { Console.report(note, asJSON: wantsJSON, exit: Console.doneButCode) }
    Console.exit(notes.isEmpty ? 0 : Console.doneButCode)
  }

  /// An error that comes after an output has got its name, as what is said of that; nil while there is none.
  private static func asNote(_ error: StorageError) -> StorageError? {
    CommitNotes.output.map { StorageError(error.code, "was written, but then: \(error)", file: $0) }
  }
}
