import COneDNN
import COpenBLAS
@_spi(TensorMemory) import Tensors

/// Matrix products over oneDNN, and over OpenBLAS on other processors than x86's.
public enum MatrixMultiply {
  /// C = alpha · op(A) · op(B) + beta · C on all threads of the pool.
  ///
  /// The longer side of C is cut into one block a thread, and each thread calls a single-threaded product, so
  /// that OpenBLAS keeps no threads of its own beside the pool's.
  ///
  /// - Parameters:
  ///   - m: Rows of op(A) and C.
  ///   - n: Columns of op(B) and C.
  ///   - k: Columns of op(A), rows of op(B).
  ///   - a: A.
  ///   - b: B.
  ///   - c: C, which is written over.
  ///   - alpha: The factor of the product.
  ///   - beta: The factor of what C held; 0 does not read it.
  @_spi(TensorMemory) public static func parallel(
    _ m: Int, _ n: Int, _ k: Int, _ a: MatrixView<Float>, _ b: MatrixView<Float>, into c: MatrixView<Float>,
    alpha: Float = 1, beta: Float = 0
  ) {
    forEachPart(m, n, k) { rows, columns in
      serial(
        rows.count, columns.count, k, a.rows(from: rows.lowerBound), b.columns(from: columns.lowerBound),
        into: c.rows(from: rows.lowerBound).columns(from: columns.lowerBound), alpha: alpha, beta: beta)
    }
  }

  /// Cuts the longer side of an m × n result of products of k into one block a thread.
  static func forEachPart(
    _ m: Int, _ n: Int, _ k: Int, _ body: (_ rows: Range<Int>, _ columns: Range<Int>) -> Void
  ) {
    let pool = ThreadPool.current
    // Below about a megaflop a hand-over to another thread costs more than it saves.
    guard pool.threadCount > 1, m * n * k > 1 << 19 else { return body(0..<m, 0..<n) }
    let tile = 16
    let side = max(m, n)
    pool.forEachRange(of: (side + tile - 1) / tile) { tiles in
      let part = tiles.lowerBound * tile..<min(tiles.upperBound * tile, side)
      if m >= n { body(part, 0..<n) } else { body(0..<m, part) }
    }
  }

  /// C = alpha · op(A) · op(B) + beta · C on the calling thread.
  @_spi(TensorMemory) public static func serial(
    _ m: Int, _ n: Int, _ k: Int, _ a: MatrixView<Float>, _ b: MatrixView<Float>, into c: MatrixView<Float>,
    alpha: Float = 1, beta: Float = 0
  ) {
    precondition(!c.transposed, "the result of a product is stored as it is")
    guard m > 0, n > 0 else { return }
    #if arch(x86_64)
      // oneDNN makes its kernels for the processor at hand; OpenBLAS knows only processors older than itself.
      let parts = depthParts(k)
      for part in 0..<parts {
        let start = k * part / parts
        let end = k * (part + 1) / parts
        let (a, b) = (a.columns(from: start), b.rows(from: start))
        let status = peco_dnn_sgemm(
          a.transposed ? 1 : 0, b.transposed ? 1 : 0, Int64(m), Int64(n), Int64(end - start), alpha,
          a.pointer, Int64(a.stride), b.pointer, Int64(b.stride), part == 0 ? beta : 1, c.pointer,
          Int64(c.stride))
        if status != 0 {
          ExecutionContext.current.fail(
            ExecutionError("oneDNN refuses a product of \(m) × \(k) with \(k) × \(n): status \(status)"))
        }
      }
    #else
      cblas_sgemm(
        CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
        blasint(m), blasint(n), blasint(k), alpha, a.pointer, blasint(a.stride), b.pointer,
        blasint(b.stride), beta, c.pointer, blasint(c.stride))
    #endif
  }

  #if arch(x86_64)
    /// Into how many products k is cut. oneDNN goes through it in blocks of 384, and reads and writes all of C for a
    /// short last one, too; equal parts do more at each pass. k is long and of any length in the gradients of weights,
    /// where it counts the tokens of a batch.
    private static func depthParts(_ k: Int) -> Int {
      let block = 384
      let rest = k % block
      return k > block && rest > 0 && rest < block / 2 ? (k + block - 1) / block : 1
    }
  #endif

  /// Whose kernels compute products, and for which processors they are made, for example "oneDNN AVX-512".
  public static var kernelName: String {
    #if arch(x86_64)
      return "oneDNN " + String(cString: peco_dnn_instruction_set())
    #else
      return "OpenBLAS " + String(cString: openblas_get_corename())
    #endif
  }

  /// Bits of the vectors that the kernels work on.
  public static var vectorBits: Int {
    #if arch(x86_64)
      let name = kernelName
      return name.contains("AVX-512") ? 512 : name.contains("AVX") ? 256 : 128
    #else
      return Processor.vectorBits
    #endif
  }

  /// Keeps OpenBLAS from starting threads of its own. Call once at the start.
  public static func useSingleThreadedKernels() { openblas_set_num_threads(1) }
}
