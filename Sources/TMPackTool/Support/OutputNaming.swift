import ArgumentParser
import TMPackReading

extension OutputNaming: ExpressibleByArgument {}
