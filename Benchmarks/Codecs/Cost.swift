/// What some bytes take in one form, and the CPU seconds to make it and to undo it.
struct Cost {
  var stored = 0
  var encoding = 0.0
  var decoding = 0.0
}
