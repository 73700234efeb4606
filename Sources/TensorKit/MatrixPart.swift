/// One matrix of a stack.
package struct MatrixPart: Sendable, Hashable {
  package let stack: MatrixStack
  package let number: Int

  package init(stack: MatrixStack, number: Int) {
    self.stack = stack
    self.number = number
  }
}
