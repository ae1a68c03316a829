import ArgumentParser
import Configuration

/// In which number format a command computes products.
package struct PrecisionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The number format of products: float32, bfloat16, or auto (bfloat16 where the processor has instructions for it).",
      valueName: "format"))
  package var precision = Precision.float32

  package init() {}
}

extension Precision: ExpressibleByArgument {}
