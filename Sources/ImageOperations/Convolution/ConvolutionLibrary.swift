import COneDNN

/// What computes convolutions, for reports.
public enum ConvolutionLibrary {
  /// Name and version, such as "oneDNN 2.6.3".
  public static var version: String { "oneDNN " + String(cString: peco_dnn_version()) }
  /// What runs its threads, such as "OpenMP".
  public static var threadRuntime: String { String(cString: peco_dnn_runtime()) }
  /// The widest instruction set it uses on this processor, such as "AVX-512".
  public static var instructionSet: String { String(cString: peco_dnn_instruction_set()) }
}
