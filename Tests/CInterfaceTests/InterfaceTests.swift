import TMPackCHeader
import TMPackCInterface
import Testing

@Suite struct InterfaceTests {
  @Test func says() { #expect(tmpk_abi_version() == UInt32(TMPK_ABI_VERSION)) }
}
