/// What becomes of the elements of a tensor on its way to llama.cpp.
enum TensorChange: String, Sendable, Hashable {
  case none = ""
  /// Rows and columns change places: GPT-2's `Conv1D` has [inputs, outputs].
  case transposed
  /// Within each head the rows of the two halves alternate, since llama.cpp rotates neighbours, and transformers halves.
  case interleavedQueries = "queries"
  case interleavedKeys = "keys"
  /// One is added: Gemma's norms multiply by 1 + w.
  case plusOne = "plus-one"
  /// Like `plusOne`, then multiplied by what llama.cpp's scale of the attention lacks.
  case plusOneScaled = "plus-one-scaled"
  /// The first or the second half of the rows of each matrix in a stack.
  case firstHalf = "first-half"
  case secondHalf = "second-half"
}
