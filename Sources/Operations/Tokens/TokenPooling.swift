import CKernels
@_spi(TensorMemory) import Tensors

/// The mean of each sample's patch tokens, without the class token that comes first: [B, N + 1, width] → [B, width].
public func meanOfPatches(_ x: Tensor) -> Tensor {
  precondition(x.shape.count == 3 && x.shape[1] > 1, "no patch tokens in shape \(x.shape)")
  let (samples, tokens, width) = (x.shape[0], x.shape[1], x.shape[2])
  let share = 1 / Float(tokens - 1)
  let y = Tensor([samples, width])
  ThreadPool.current.forEachRange(of: samples, grain: rowGrain(tokens * width)) { range in
    for sample in range {
      let sum = y.pointer + sample * width
      for token in 1..<tokens {
        peco_add_in_place(sum, x.pointer + (sample * tokens + token) * width, width)
      }
      for i in 0..<width { sum[i] *= share }
    }
  }
  return Tape.record(y, from: [x]) { dy in
    let dx = Tensor(uninitialized: x.shape)
    ThreadPool.current.forEachRange(of: samples, grain: rowGrain(tokens * width)) { range in
      for sample in range {
        let first = dx.pointer + sample * tokens * width
        peco_fill(first, 0, width)
        for token in 1..<tokens {
          peco_scale(first + token * width, dy.pointer + sample * width, share, width)
        }
      }
    }
    x.addGradient(dx)
  }
}
