// The loops of gelu.c with a bias, for one number format (each_format.h).

PECO_CLONES void PECO_OF(peco_bias_gelu)(
    PECO_ELEMENT *y, const PECO_ELEMENT *x, const float *restrict bias, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++)
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) 
      y[r * n + i] = PECO_STORE(PECO_OF(gelu)(PECO_LOAD(x[r * n + i]) + bias[i]));
}

PECO_CLONES void PECO_OF(peco_bias_gelu_gradient)(
    PECO_ELEMENT *restrict x, PECO_ELEMENT *restrict dy, float *restrict dbias, const float *restrict bias, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, dy += n)
    PECO_IN_PLACE for (size_t i = 0; i < n; i++) {
      float slope;
      float activated = PECO_OF(gelu_and_slope)(PECO_LOAD(x[i]) + bias[i], &slope);
      float d = PECO_LOAD(dy[i]) * slope;
      x[i] = PECO_STORE(d);
      dy[i] = PECO_STORE(activated);
      dbias[i] += d;
    }
}
